#include "emulsion/output_file.h"

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {

namespace fs = std::filesystem;

void check_can_hold(const fs::path& file) {
  std::error_code ignored;
  if (file.filename().empty() || fs::is_directory(file, ignored))
    throw RunError(str("'", file.string(), "' is a folder: expected a file name"));
  const fs::path folder = file.parent_path();
  if (!folder.empty() && !fs::is_directory(folder, ignored))
    throw RunError(str("folder '", folder.string(), "' does not exist: '", file.string(),
                       "' cannot be written; make it first"));
}

OutputFile::OutputFile(fs::path path) : path_(std::move(path)) {
  check_can_hold(path_);
  partial_ = path_.parent_path() / str(".", path_.filename().string(), ".partial");
  file_ = std::fopen(partial_.c_str(), "wb");
  if (file_ == nullptr) fail(errno);
}

OutputFile::~OutputFile() {
  if (file_ != nullptr) std::fclose(file_);
  std::error_code ignored;
  if (!partial_.empty()) fs::remove(partial_, ignored);
}

void OutputFile::write(std::span<const std::byte> bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) fail(errno);
}

void OutputFile::commit() {
  if (std::fclose(std::exchange(file_, nullptr)) != 0)
    fail(errno);  // what was buffered may not fit
  std::error_code error;
  fs::rename(partial_, path_, error);
  if (error) fail(error.value());
  partial_.clear();
}

void OutputFile::fail(int error) const {
  throw RunError(str("'", path_.string(),
                     "' cannot be written: ", std::generic_category().message(error),
                     "; free space, or give another place"));
}

}  // namespace emulsion

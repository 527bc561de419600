#include "weights/output_folder.h"

#include <system_error>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/output_file.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

void expect_done(const std::filesystem::path& path, const std::error_code& error) {
  if (error)
    throw RunError(str("'", path.string(), "' cannot be written: ", error.message(),
                       "; free space, or give another place"));
}

}  // namespace

OutputFolder::OutputFolder(std::filesystem::path path) : path_(std::move(path)) {
  check_can_hold(path_);
  partial_ = path_.parent_path() / str(".", path_.filename().string(), ".partial");
  std::error_code error;
  std::filesystem::remove_all(partial_, error);  // of a process that was killed
  if (!error) std::filesystem::create_directory(partial_, error);
  expect_done(path_, error);
}

OutputFolder::~OutputFolder() {
  std::error_code ignored;
  if (!partial_.empty()) std::filesystem::remove_all(partial_, ignored);
}

void OutputFolder::commit() {
  std::error_code error;
  std::filesystem::rename(partial_, path_, error);
  expect_done(path_, error);
  partial_.clear();
}

}  // namespace emulsion

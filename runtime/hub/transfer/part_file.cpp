#include "hub/transfer/part_file.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {

PartFile::PartFile(std::filesystem::path blob, HubFile file, const std::function<void()>& go_on)
    : blob_(std::move(blob)),
      partial_(blob_.string() + ".incomplete"),
      file_(std::move(file)),
      digest_(file_.etag, file_.bytes) {
  bytes_ = digest_.add_file(partial_, go_on);
  resumed_ = bytes_ > 0;
  if (bytes_ > file_.bytes)
    restart();
  else
    open("ab");
}

PartFile::~PartFile() {
  if (stream_ != nullptr) std::fclose(stream_);
}

void PartFile::open(const char* mode) {
  if (stream_ != nullptr) std::fclose(std::exchange(stream_, nullptr));
  stream_ = std::fopen(partial_.c_str(), mode);
  if (stream_ == nullptr) fail(errno);
}

void PartFile::add(std::string_view piece) {
  if (std::fwrite(piece.data(), 1, piece.size(), stream_) != piece.size()) fail(errno);
  digest_.add(piece);
  bytes_ += static_cast<Bytes>(piece.size());
}

void PartFile::restart() {
  open("wb");
  digest_ = Digest(file_.etag, file_.bytes);
  bytes_ = 0;
  resumed_ = false;
}

std::string PartFile::commit() {
  const std::string hash = digest_.hexadecimal();
  if (hash != file_.etag) {
    restart();
    return str(digest_.name(), ' ', hash);
  }
  if (std::fclose(std::exchange(stream_, nullptr)) != 0)
    fail(errno);  // what was buffered may not fit
  std::filesystem::rename(partial_, blob_);
  return "";
}

void PartFile::fail(int error) const {
  throw WeightError(str("'", partial_.string(),
                        "': cannot be written: ", std::generic_category().message(error),
                        "; free space, or set HF_HUB_CACHE to another folder"));
}

}  // namespace emulsion

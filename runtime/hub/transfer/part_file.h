#pragma once

#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "hub/hub_listing.h"
#include "hub/transfer/digest.h"

namespace emulsion {

// The blob of a file while it is downloaded: "<etag>.incomplete" beside its place.  It stays when
// the download ends early, and the next one goes on where it ended.  Throws WeightError where it
// cannot be written.  [one thread]
class PartFile {
 public:
  // Whoever makes it holds the blob's lock.  Hashes what an earlier download left, and calls
  // `go_on` every now and then, which may throw.
  PartFile(std::filesystem::path blob, HubFile file, const std::function<void()>& go_on);
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  Bytes bytes() const { return bytes_; }
  bool is_resumed() const { return resumed_; }  // holds bytes of an earlier download
  bool is_full() const { return bytes_ == file_.bytes; }

  void add(std::string_view piece);
  void restart();  // empty, as if nothing had been there
  // Moves it to its place where its hash is the wanted one; else restarts, and gives the hash.
  // Empty: it is done.
  std::string commit();

 private:
  void open(const char* mode);
  [[noreturn]] void fail(int error) const;

  std::filesystem::path blob_, partial_;
  HubFile file_;
  Digest digest_;
  std::FILE* stream_ = nullptr;
  Bytes bytes_ = 0;
  bool resumed_ = false;
};

}  // namespace emulsion

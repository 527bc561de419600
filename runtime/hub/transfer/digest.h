#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "emulsion/memory.h"

namespace emulsion {

// The hash that the hub tells for a file of `bytes` bytes, told from what it holds, piece by piece:
// SHA-256, or git's SHA-1 of a blob, as the length of the etag says.  [one thread]
class Digest {
 public:
  Digest(const std::string& etag, Bytes bytes);
  ~Digest();
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;

  void add(std::string_view piece);
  // All of a file, and gives its length; 0 where there is none.  Calls `go_on` every now and then,
  // which may throw.
  Bytes add_file(const std::filesystem::path& file, const std::function<void()>& go_on);
  std::string hexadecimal();  // of all pieces; ends the digest
  const char* name() const;   // "sha256"

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace emulsion

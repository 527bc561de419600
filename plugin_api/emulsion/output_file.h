#pragma once

#include <cstdio>
#include <filesystem>
#include <span>

#include "emulsion/export.h"

namespace emulsion {

// Throws RunError, with one line, when there is no folder that the file could go to, or a folder
// has its name.  [any thread]
EMULSION_API void check_can_hold(const std::filesystem::path& file);

// A file that appears whole or not at all: it is written beside its place as ".<name>.partial".
// [one thread]
class EMULSION_API OutputFile {
 public:
  // Throws RunError as check_can_hold does, and when the file cannot be opened.
  explicit OutputFile(std::filesystem::path path);
  ~OutputFile();  // removes what was not committed
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes);  // throws RunError, as on a full disk
  void commit();                                 // moves it to its place; throws RunError

 private:
  [[noreturn]] void fail(int error) const;

  std::filesystem::path path_, partial_;
  std::FILE* file_ = nullptr;
};

}  // namespace emulsion

#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace emulsion {

// What tells a file from every other, and from itself before it was written again.
struct FileIdentity {
  std::uint64_t bytes = 0;
  std::string text;  // with the size, the time of the last change, and where there is one the inode

  bool operator==(const FileIdentity&) const = default;
};

// As the file is now.  Throws WeightError when there is none.  [any thread]
FileIdentity identity_of(const std::filesystem::path& file);

// Throws WeightError when the file is not the one any more that it was when it was opened.
// [any thread]
void expect_unchanged(const std::filesystem::path& file, const FileIdentity& opened);

}  // namespace emulsion

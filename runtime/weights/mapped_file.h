#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace boost::interprocess {
class mapped_region;
}

namespace emulsion {

// A file's bytes in the address space, read-only.  Pages come from the page cache when they are
// touched, and leave the process when the mapping ends.  [any thread]
class MappedFile {
 public:
  // Throws WeightError when the file cannot be opened or mapped.  An empty file has no bytes.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const;

 private:
  std::unique_ptr<const boost::interprocess::mapped_region> region_;  // null for an empty file
};

}  // namespace emulsion

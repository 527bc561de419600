#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace boost::interprocess {
class mapped_region;
}

namespace emulsion {

struct FileIdentity;

// A file's bytes in the address space, read-only.  Pages come from the page cache when they are
// touched, and leave the process when the mapping ends.  [any thread]
class MappedFile {
 public:
  // Throws WeightError when the file cannot be opened or mapped.  An empty file has no bytes.
  explicit MappedFile(const std::filesystem::path& path);
  // `bytes` from `begin` on.  Throws WeightError when the file does not have them.
  MappedFile(const std::filesystem::path& path, std::uint64_t begin, std::uint64_t bytes);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const;
  // Brings all pages in now, so that nobody waits for the disk later.
  void touch() const;

 private:
  std::unique_ptr<boost::interprocess::mapped_region> region_;  // null where there are no bytes
};

// The whole file; one mapping for all who ask while anyone has it.  Throws WeightError, also when
// the file is not any more as it was `opened`.  [any thread]
std::shared_ptr<const MappedFile> shared_mapping(const std::filesystem::path& path,
                                                 const FileIdentity& opened);

}  // namespace emulsion

#pragma once

#include <filesystem>

namespace emulsion {

// A folder that appears whole or not at all: it is filled beside its place as ".<name>.partial".
// [one thread]
class OutputFolder {
 public:
  // Throws RunError when there is no folder that it could go to, or it cannot be made.
  explicit OutputFolder(std::filesystem::path path);
  ~OutputFolder();  // removes what was not committed
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  const std::filesystem::path& partial() const { return partial_; }  // where to write
  void commit();  // moves it to its place; throws RunError

 private:
  std::filesystem::path path_, partial_;
};

}  // namespace emulsion

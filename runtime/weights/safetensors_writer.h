#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "emulsion/output_file.h"
#include "emulsion/value.h"

namespace emulsion {

struct NamedSpec {
  std::string name;
  TensorSpec spec;
};

// The order of tensors in a file: widest elements first, so that each tensor's address is a
// multiple of its element's size.  [any thread]
bool written_before(const TensorSpec& one, const TensorSpec& other);

// Writes a safetensors file whose data comes bit by bit, in the order of its tensors.  It appears
// whole or not at all.  [one thread]
class SafetensorsWriter {
 public:
  // Throws RunError where the file cannot be written, WeightError on a dtype that the format lacks.
  SafetensorsWriter(const std::filesystem::path& path, const std::vector<NamedSpec>& tensors,
                    const std::map<std::string, std::string>& metadata);
  void write(std::span<const std::byte> bytes) { file_.write(bytes); }  // throws RunError
  void commit() { file_.commit(); }                                     // throws RunError

 private:
  OutputFile file_;
};

// The same of tensors that are in memory.
void save_safetensors(const std::filesystem::path& path,
                      const std::map<std::string, at::Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace emulsion

#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace emulsion {

// A tensor as the header of a GGUF file tells it.
struct GgufTensor {
  std::string name;
  std::vector<std::uint64_t> extents;  // the fastest first
  std::uint32_t type = 0;
  std::uint64_t offset = 0;  // from where the data begin
};

// What the header of a GGUF file says, not yet checked against the file's data.
struct GgufHeader {
  std::map<std::string, std::string> metadata;              // numbers as texts, without arrays
  std::map<std::string, std::vector<std::int64_t>> shapes;  // short arrays of whole numbers
  std::vector<GgufTensor> tensors;
  std::uint64_t alignment = 0;
  std::uint64_t data_begin = 0;  // bytes from the start of the file
};

// Reads a header from the bytes of the whole file; `place` is for messages.  Throws WeightError.
// [any thread]
GgufHeader read_gguf_header(const std::string& place, std::span<const std::byte> file);

}  // namespace emulsion

#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>

#include "weights/tensor_file.h"

namespace emulsion {

// The header of a safetensors file, read and checked, so that every tensor lies in the file, has
// the bytes that its shape and dtype need, and shares none: the rules of the format's reference
// implementation.  Holds no file open.  Immutable.  [any thread]
class SafetensorsFile final : public TensorFile {
 public:
  // Throws WeightError with one line that names the file, and the tensor where it is one's fault.
  explicit SafetensorsFile(std::filesystem::path path);

 private:
  void read_header(const std::string& header, std::uint64_t data_begin);
  void check_layout(std::uint64_t data_begin) const;
};

// Reads parts of a file.  Throws WeightError when they are not there.  [one thread at a time]
class FileReader {
 public:
  explicit FileReader(const std::filesystem::path& path);
  // Copies the file's bytes from `begin` on into `into`.
  void read(std::uint64_t begin, void* into, std::size_t count);

 private:
  const std::filesystem::path& path_;
  std::ifstream file_;
};

// One small tensor as the file has it, in memory of its own.  Throws WeightError.  [any thread]
at::Tensor read_tensor(const std::filesystem::path& path, const StoredTensor& stored);

// All tensors of a small file, in memory of their own and in their own dtype.  Throws WeightError.
// [any thread]
std::map<std::string, at::Tensor> read_safetensors(const std::filesystem::path& path);

// "F16", or throws WeightError that names the tensor where the format has no such dtype.
// [any thread]
std::string_view safetensors_dtype(const std::string& tensor, c10::ScalarType dtype);

}  // namespace emulsion

#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>

#include "emulsion/value.h"
#include "weights/file_identity.h"

namespace emulsion {

struct StoredTensor {
  TensorSpec spec;
  std::uint64_t begin = 0;  // bytes from the start of the file
  bool transposed =
      false;  // the file has the elements in the order of the axes the other way round
};

using StoredTensors = std::map<std::string, StoredTensor, std::less<>>;

// The header of a safetensors file, read and checked, so that every tensor lies in the file, has
// the bytes that its shape and dtype need, and shares none: the rules of the format's reference
// implementation.  Holds no file open.  Immutable.  [any thread]
class SafetensorsFile {
 public:
  // Throws WeightError with one line that names the file, and the tensor where it is one's fault.
  explicit SafetensorsFile(std::filesystem::path path);
  // The same file, of which these tensors, or parts of tensors, are wanted under these names.
  SafetensorsFile(const SafetensorsFile& whole, StoredTensors tensors);

  const std::filesystem::path& path() const { return path_; }
  const FileIdentity& identity() const { return identity_; }  // when it was opened
  const StoredTensors& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  void read_header(const std::string& header, std::uint64_t data_begin);
  void check_layout(std::uint64_t data_begin) const;

  std::filesystem::path path_;
  FileIdentity identity_;
  StoredTensors tensors_;
  std::map<std::string, std::string> metadata_;
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

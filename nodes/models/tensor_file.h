#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>

#include "emulsion/value.h"

namespace emulsion::models {

// A tensor of a user's safetensors file; the weights of models are the runtime's.
struct TensorInFile {
  TensorSpec spec;          // as stored
  std::int64_t offset = 0;  // of its bytes in the file
};

// Finds the tensor of the name, or the only one there is, by the header alone.  Throws GraphError
// when the file is missing, damaged, or has neither.  [any thread]
TensorInFile find_tensor(const std::filesystem::path& file, const std::string& name);

// All tensors of the file by name.  Throws GraphError when it is missing, damaged, or has one that
// is not of floating numbers.  [any thread]
std::map<std::string, TensorInFile> tensors_in(const std::filesystem::path& file);

// The tensor of that name, in its stored dtype.  Throws GraphError.  [any thread]
at::Tensor read_tensor(const std::filesystem::path& file, const std::string& name);

// Writes a file of one tensor, in float32, whole or not at all.  Throws RunError.  [any thread]
void write_tensor(const std::filesystem::path& file, const std::string& name,
                  const at::Tensor& tensor);

}  // namespace emulsion::models

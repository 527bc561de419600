#pragma once

#include <filesystem>

#include "weights/tensor_file.h"

namespace emulsion {

// The header of a GGUF file of version 2 or 3 (ggml's format).  Tensors are plain (F32, F16,
// BF16) or in blocks of 32 (Q8_0, Q4_0, Q4_1, Q5_0, Q5_1); these count as float32.  Shapes are
// turned around to the order of other files; those that ComfyUI-GGUF changed to fit blocks are as
// "comfy.gguf.orig_shape.<name>" tells.
class GgufFile final : public TensorFile {
 public:
  // Throws WeightError with one line that names the file, and the tensor where it is one's fault.
  explicit GgufFile(std::filesystem::path path);

 private:
  void check_overlaps() const;
};

}  // namespace emulsion

#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "weights/safetensors.h"

namespace emulsion {

class MemoryMeter;

// Writes a tensor's elements from `start` on, in the order of its shape, into flat host memory, as
// many as it has, and converts them to its dtype on the way.  What that takes, less than 1 MiB, is
// counted by `meter`, or by nobody.  Throws WeightError.  [any thread]
void read_elements(const TensorFile& file, const StoredTensor& stored, std::int64_t start,
                   const at::Tensor& into, MemoryMeter* meter);

}  // namespace emulsion

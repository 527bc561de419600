#pragma once

#include <ATen/core/Tensor.h>

#include "emulsion/weights.h"

// Packed weights on their way into a product.  [any thread]
namespace emulsion::kernels {

// Rows `begin` to `begin + count` of a packed weight [out, …] as numbers: [count, …] of `dtype`, on
// its device.
at::Tensor unpacked_rows(const Weight& weight, std::int64_t begin, std::int64_t count,
                         c10::ScalarType dtype);

}  // namespace emulsion::kernels

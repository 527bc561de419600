#pragma once

#include <ATen/core/Tensor.h>

#include "emulsion/weights.h"
#include "kernels/vector_math.h"

// Packed weights on their way into a product.  [any thread]
namespace emulsion::kernels {

// Rows `begin` to `begin + count` of a packed weight [out, …] as numbers: [count, …] of `dtype`, on
// its device.
at::Tensor unpacked_rows(const Weight& weight, std::int64_t begin, std::int64_t count,
                         c10::ScalarType dtype);

// A weight of numbers as they are.
Weight plain_weight(const at::Tensor& numbers);

// Numbers `first` to `first + count` of a packed row, both multiples of kPackedBlock, or up to the
// row's end.
void unpack_numbers(const std::uint8_t* row, std::int64_t first, std::int64_t count,
                    Packing packing, float* into);
void unpack_numbers(const std::uint8_t* row, std::int64_t first, std::int64_t count,
                    Packing packing, Bfloat16Bits* into);

}  // namespace emulsion::kernels

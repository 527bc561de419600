#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

// Linear layers of so few rows that reading the weight is all that takes time: it is read once, in
// the order of memory, and nothing is brought side by side.
namespace emulsion::kernels {

inline constexpr std::int64_t kFewRows = 4;

// Whether so many rows of that type are multiplied so.  [any thread]
bool rows_are_few(c10::ScalarType dtype, std::int64_t rows);

// x [..., in] of up to kFewRows rows, weight [out, in], bias [out] or undefined, float32 or
// bfloat16 on the CPU -> [..., out]; sums are made in float32.
at::Tensor row_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

// Elements of float32 that this allocates besides the result.
std::int64_t row_linear_scratch(std::int64_t in, std::int64_t out);

}  // namespace emulsion::kernels

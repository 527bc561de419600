#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace emulsion::kernels {

// Group norm (Wu & He 2018) and silu behind it in one pass over the map, besides the one that takes
// the statistics.

// On a CPU, channels last, in float32 or bfloat16.
bool suits_norm_silu(const at::Tensor& x);

// x [B, C, H, W], weight and bias [C] -> the same shape.  Computes in float32.
at::Tensor norm_silu(const at::Tensor& x, std::int64_t groups, const at::Tensor& weight,
                     const at::Tensor& bias, double eps);

}  // namespace emulsion::kernels

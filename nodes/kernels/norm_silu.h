#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "kernels/vector_math.h"

namespace emulsion::kernels {

// Group norm (Wu & He 2018) and silu behind it in one pass over the map, besides the one that takes
// the statistics.

// On a CPU, channels last, in float32 or bfloat16.
bool suits_norm_silu(const at::Tensor& x);

struct GroupNormWeights {
  std::int64_t groups;
  at::Tensor weight, bias;  // [C]
  double eps;
};

// x [B, C, H, W] -> the same shape.  Computes in float32.
at::Tensor norm_silu(const at::Tensor& x, const GroupNormWeights& norm);

// What a group norm multiplies each channel of a sample with, and adds then.
struct ChannelAffine {
  std::int64_t channels;
  std::vector<float> scale, shift;  // [B, C]
};
ChannelAffine affine_of(const at::Tensor& x, const GroupNormWeights& norm);

// x [pixels, C] of that sample -> y, with silu behind.
void affine_silu(const Bfloat16Bits* x, std::int64_t pixels, const ChannelAffine& affine,
                 std::int64_t sample, Bfloat16Bits* y);

}  // namespace emulsion::kernels

#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace emulsion::models {

// A convolution as one matrix product of all its windows with the weight as it lies in the file.
// oneDNN brings a weight to its own order on each call, which on the smallest maps takes longer
// than the convolution itself.

// A 3x3 convolution with padding 1 that keeps the size.
struct UnfoldedShape {
  std::int64_t in = 0, out = 0;
  std::int64_t pixels = 0;  // of all samples

  bool pays() const;
  std::int64_t scratch() const;  // elements that are allocated at once besides the result
};

// x [B, in, H, W], weight [out, in, 3, 3] -> [B, out, H, W] channels last
at::Tensor unfolded_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

}  // namespace emulsion::models

#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace emulsion::kernels {

struct ConvShape {
  std::int64_t in = 0, out = 0, kernel = 3, stride = 1, padding = 1;
};

// x [B, in, H, W], weight [out, in, kernel, kernel], bias [out] or undefined
at::Tensor conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  const ConvShape& shape);

// The layout of feature maps that is fastest on x's device: channels last on a CPU, where it makes
// the way to tokens and back free, contiguous elsewhere.
at::Tensor in_map_layout(const at::Tensor& x);

}  // namespace emulsion::kernels

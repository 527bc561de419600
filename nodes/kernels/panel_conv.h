#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kernels/conv.h"

namespace emulsion::kernels {

inline constexpr std::int64_t kFewestPanelChannels = 16;  // with fewer, the panels are too short

// A convolution as products of panels, see panel_product.h: its rows are the pixels under each tap
// of the kernel, as they lie in the map, so that no windows are copied.
// x [B, in, H, W] channels last, weight [out, in, kernel, kernel] contiguous, bias [out] or
// undefined, float32 or bfloat16 on the CPU -> [B, out, H', W'] channels last
at::Tensor panel_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                        const ConvShape& shape);

// Elements of float32 that are allocated on so many threads besides the result; the map has so many
// pixels.
std::int64_t panel_conv_scratch(const ConvShape& shape, c10::ScalarType dtype, std::int64_t pixels,
                                std::int64_t threads);

}  // namespace emulsion::kernels

#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace emulsion::kernels {

// A 3x3 convolution that keeps the size, as products in the tile registers of AMX
// (amx_product.h).  Bands of the map are copied with one zero pixel behind each row and a row of
// zeros behind each sample, so that under every tap pixels lie evenly apart, across rows and
// samples too; what comes out at the zeros is left.
// x [B, in, H, W] channels last, weight [out, in, 3, 3] contiguous, bias [out], bfloat16 on the CPU
// -> [B, out, H, W] channels last
at::Tensor amx_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

// Elements of float32 that are allocated on so many threads, besides the result.
struct AmxConvShape {
  std::int64_t batch, height, width, in, out;
  std::int64_t scratch(std::int64_t threads) const;
};

}  // namespace emulsion::kernels

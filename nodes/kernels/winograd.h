#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace emulsion::kernels {

// Minimal filtering F(4x4, 3x3) (Lavin & Gray 2016, "Fast algorithms for convolutional neural
// networks"): each tile of 4x4 results takes 36 multiplications a channel instead of 144, done as
// 36 matrix products over all tiles, by panels of sixteen filters.  The
// transforms around them cost memory traffic, and rounding: results are a few millionths of their
// spread off, five times as much as by the definition.
//
// Of a map that nearest neighbours double, each pixel has four results, and each of these sees two
// by two pixels, with sums of the filter's taps: F(5x5, 2x2) has the same transform of the inputs,
// and for 25 results of one kind 36 multiplications instead of 225.

// A 3x3 convolution with padding 1 that keeps the size, or of a map that is doubled before.
struct WinogradShape {
  std::int64_t in = 0, out = 0;
  std::int64_t tiles = 0;  // of all samples
  bool is_doubled = false;

  // Transformed weights are four times as large, and of a doubled map there are four of them: there
  // must be tiles enough that share them.
  bool pays() const;
  // Elements of float32 that are allocated at once on so many threads, besides the result.
  std::int64_t scratch(std::int64_t threads) const;
};

// Whether this processor has the instructions, and none that are faster for products in that type.
// [any thread]
bool winograd_holds(c10::ScalarType dtype);

// Of maps as they are in memory.
std::int64_t winograd_tiles(std::int64_t batch, std::int64_t height, std::int64_t width,
                            bool is_doubled = false);

// x [B, in, H, W] channels last, weight [out, in, 3, 3], bias [out], float32 or bfloat16 on the
// CPU, in and out multiples of 16 -> [B, out, H, W] channels last
at::Tensor winograd_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

// The same of x made twice as large by nearest neighbours, which is never in memory.
at::Tensor winograd_doubled_conv2d(const at::Tensor& x, const at::Tensor& weight,
                                   const at::Tensor& bias);

}  // namespace emulsion::kernels

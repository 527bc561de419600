#pragma once

#include "models/layers.h"

// Linear layers and convolutions whose weights may be packed: these are unpacked for each use, and
// the ordinary product does the rest.  [any thread]
namespace emulsion::models {

// Numbers of a linear layer's weight that are unpacked at a time: in float32 they take 4 MiB, which
// stay in a core's caches until they are multiplied.
inline constexpr std::int64_t kUnpackedNumbers = 1 << 20;

// Outputs of a linear layer whose rows are unpacked at a time.
std::int64_t unpacked_outputs(std::int64_t in, std::int64_t out);

// x [..., in], weight [out, in] -> [..., out]
at::Tensor linear(const at::Tensor& x, const Weight& weight, const at::Tensor& bias);

// x [B, in, H, W], weight [out, in, kernel, kernel], of which all is unpacked at a time: the forms
// of a convolution depend on the number of outputs, and all but the result is made for each.
at::Tensor conv2d(const at::Tensor& x, const Weight& weight, const at::Tensor& bias,
                  const ConvShape& shape, const ConvFusion& fusion = {});

}  // namespace emulsion::models

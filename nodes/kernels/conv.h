#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "emulsion/weights.h"
#include "kernels/norm_silu.h"

namespace emulsion::kernels {

struct ConvShape {
  std::int64_t in = 0, out = 0, kernel = 3, stride = 1, padding = 1;
};

// What is done besides a convolution, by kernels that have the numbers in hand anyway.
struct ConvFusion {
  const GroupNormWeights* norm = nullptr;  // of x before, with silu behind; see takes_norm()
  at::Tensor shift;                        // [1 or B, out], added to all pixels; undefined: none
  at::Tensor added;                        // as the result, and added to it; undefined: none
};

// Whether a kernel does the norm of such a map on the way.
bool takes_norm(const at::Tensor& x, const ConvShape& shape);

// x [B, in, H, W], weight [out, in, kernel, kernel], bias [out] or undefined.  Of a packed weight
// all is unpacked before, but for tile registers.
at::Tensor conv2d(const at::Tensor& x, const Weight& weight, const at::Tensor& bias,
                  const ConvShape& shape, const ConvFusion& fusion = {});
at::Tensor conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  const ConvShape& shape, const ConvFusion& fusion = {});

// Of x [B, in, H, W] made twice as large by nearest neighbours; a 3x3 kernel, as above.
at::Tensor doubled_conv2d(at::Tensor x, const Weight& weight, const at::Tensor& bias,
                          const ConvShape& shape);

// With stride 2 and a column and a row of zeros at the far sides alone; a 3x3 kernel, as above.
at::Tensor halved_conv2d(const at::Tensor& x, const Weight& weight, const at::Tensor& bias,
                         const ConvShape& shape);

// The layout of feature maps that is fastest on x's device: channels last on a CPU, where it makes
// the way to tokens and back free, contiguous elsewhere.
at::Tensor in_map_layout(const at::Tensor& x);

}  // namespace emulsion::kernels

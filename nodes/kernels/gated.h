#pragma once

#include <ATen/core/Tensor.h>

#include "emulsion/weights.h"

namespace emulsion::kernels {

// GEGLU (Shazeer 2020, "GLU Variants Improve Transformer"): values times the gelu of their gates.

// y [..., 2 D], values and then gates -> [..., D]
at::Tensor gated(const at::Tensor& y);

// The same of x [..., in] times weight [2 D, in], also packed, and bias [2 D].  Where the product
// is of ours, y is never in memory.
at::Tensor gated_linear(const at::Tensor& x, const Weight& weight, const at::Tensor& bias);

}  // namespace emulsion::kernels

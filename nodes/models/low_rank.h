#pragma once

#include <vector>

#include "models/layers.h"

// How layers take and run what lies beside their weights.  [any thread]
namespace emulsion::models {

// Those beside the weight at `w`; in a forecast only asked for, so that the runtime knows that the
// layer runs them.
std::vector<LowRank> linear_branches(const WeightView& w);
std::vector<LowRank> conv_branches(const WeightView& w);

// y [..., out] += scale * up(down(x)), x [..., in].  y is the caller's own.
void add_linear_branch_(at::Tensor& y, const at::Tensor& x, const LowRank& branch);

// y [B, out, H', W'] += scale * up(down(x)), x [B, in, H, W]; `shape` is the convolution's.
void add_conv_branch_(at::Tensor& y, const at::Tensor& x, const LowRank& branch,
                      const ConvShape& shape);

}  // namespace emulsion::models

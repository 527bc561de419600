#pragma once

#include <cstdint>

#include "kernels/attention.h"
#include "models/layers.h"

namespace emulsion::models {

using kernels::attention;
using kernels::Mask;

// Projects to queries, keys and values, attends, and projects back.
struct Attention {
  // Names of the four layers below the block's scope: checkpoints differ.
  struct Names {
    const char *q, *k, *v, *out;
  };
  struct Shape {
    std::int64_t width = 0;          // D of what asks
    std::int64_t context_width = 0;  // D of what is attended to
    std::int64_t heads = 1;
    bool input_bias = false;  // of q, k and v; the output always has one
  };

  std::int64_t heads;
  Linear q, k, v, out;

  Attention(const WeightView& w, const Names& names, const Shape& shape);
  // x [B, L, width], context [B, S, context_width] -> [B, L, width]
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& context,
                        Mask mask = Mask::None) const;
  // Adds that to y.
  void add_to_(at::Tensor& y, const at::Tensor& x, const at::Tensor& context) const;
};

}  // namespace emulsion::models

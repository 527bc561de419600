#pragma once

#include <cstdint>

#include "models/layers.h"

namespace emulsion::models {

enum class Mask : std::uint8_t { None, Causal };

// Queries that are worked on at once where attention goes by tiles: their scores against 4096 keys
// take 2 MiB.
inline constexpr std::int64_t kAttentionRows = 256;

// Softmax(q k^T / sqrt(K)) v in each of `heads` heads (Vaswani et al. 2017, equation 1).
// q [B, L, D], k and v [B, S, D], D = heads * K -> [B, L, D]
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     std::int64_t heads, Mask mask = Mask::None);

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
};

}  // namespace emulsion::models

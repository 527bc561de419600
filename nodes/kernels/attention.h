#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

namespace emulsion::kernels {

enum class Mask : std::uint8_t { None, Causal };

// Softmax(q k^T / sqrt(K)) v in each of `heads` heads (Vaswani et al. 2017, equation 1).
// q [B, L, D], k and v [B, S, D], D = heads * K -> [B, L, D]
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     std::int64_t heads, Mask mask = Mask::None);

struct AttentionShape {
  std::int64_t batch, queries, keys, heads, head_width;
};

// Elements of float32 that it allocates on the CPU's threads, besides the result; none where it
// does not go by kernels of ours, but by LibTorch's.  [any thread]
std::optional<std::int64_t> attention_scratch(const AttentionShape& shape, c10::ScalarType dtype,
                                              Mask mask, std::int64_t threads);

}  // namespace emulsion::kernels

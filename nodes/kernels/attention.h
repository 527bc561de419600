#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace emulsion::kernels {

enum class Mask : std::uint8_t { None, Causal };

// Softmax(q k^T / sqrt(K)) v in each of `heads` heads (Vaswani et al. 2017, equation 1).
// q [B, L, D], k and v [B, S, D], D = heads * K -> [B, L, D]
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     std::int64_t heads, Mask mask = Mask::None);

}  // namespace emulsion::kernels

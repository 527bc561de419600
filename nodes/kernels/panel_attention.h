#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kernels/attention.h"

namespace emulsion::kernels {

// Attention by panels (panel_tile.h) with a running softmax (Milakov & Gimelshein 2018, "Online
// normalizer calculation for softmax"): of the scores only those of some queries with some keys
// exist at a time, so that they stay in a thread's cache.

// Whether this processor attends so: in float32, and in bfloat16 where it multiplies pairs of these
// or has no products of its own for them.  [any thread]
bool panels_attend(c10::ScalarType dtype);

// q [B, L, D], k and v [B, S, D] contiguous, float32 or bfloat16 on the CPU -> [B, L, D]; see
// attention().
at::Tensor panel_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           std::int64_t heads);

// Elements of float32 that are allocated on so many threads, besides the result.
std::int64_t panel_attention_scratch(const AttentionShape& shape, c10::ScalarType dtype,
                                     std::int64_t threads);

}  // namespace emulsion::kernels

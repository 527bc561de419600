#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kernels/attention.h"

namespace emulsion::kernels {

// Attention in the tile registers of AMX: scores of 32 queries and 32 keys at a time become weights
// at once, and these are kept for 1024 keys.
//
// The softmax takes away the highest score among a query's first keys, and never looks for a higher
// one: what follows may pass it by a factor of 2^64, for which floats and bfloat16 have the range,
// and only where a sum passes that are scores compared with all others before (Milakov & Gimelshein
// 2018, "Online normalizer calculation for softmax").

// Whether this processor attends so.  [any thread]
bool amx_attends(c10::ScalarType dtype);

// q [B, L, D], k and v [B, S, D] in bfloat16, whose rows are contiguous -> [B, L, D]; see
// attention().
at::Tensor amx_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                         std::int64_t heads);

// Elements of float32 that are allocated on so many threads, besides the result.
std::int64_t amx_attention_scratch(const AttentionShape& shape, std::int64_t threads);

}  // namespace emulsion::kernels

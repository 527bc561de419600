#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>

#include <cmath>

#include "fakes/reference.h"

namespace emulsion::fakes {

// Softmax(q k^T / sqrt(K)) v in each head, in float64.
inline at::Tensor plain_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                  std::int64_t heads) {
  const auto split = [heads](const at::Tensor& x) {
    return x.to(at::kDouble).unflatten(-1, {heads, -1}).transpose(1, 2);
  };
  const std::int64_t width = q.size(2) / heads;
  const double root = std::sqrt(static_cast<double>(width));
  const at::Tensor scores = split(q).matmul(split(k).transpose(2, 3)) / root;
  return scores.softmax(-1).matmul(split(v)).transpose(1, 2).flatten(2);
}

struct AttentionCase {
  std::int64_t batch, queries, keys, heads;
  double spread = 1;        // of the queries
  std::int64_t width = 32;  // of a head
};

// How far what `attend(q, k, v, heads)` gives is from that, for values with a spread of 1.
template <class Attend>
double attention_error(const Attend& attend, const AttentionCase& one, c10::ScalarType dtype) {
  const auto numbers = [&](std::int64_t rows) {
    return at::randn({one.batch, rows, one.heads * one.width}).to(dtype);
  };
  const at::Tensor q = numbers(one.queries).mul(one.spread), k = numbers(one.keys),
                   v = numbers(one.keys);
  return distance(attend(q, k, v, one.heads), plain_attention(q, k, v, one.heads));
}

}  // namespace emulsion::fakes

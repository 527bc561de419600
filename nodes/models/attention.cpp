#include "models/attention.h"

#include "models/ops.h"

namespace emulsion::models {

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     std::int64_t heads, Mask mask) {
  // [B, L, D] -> [B, N, L, K], a view
  const auto split = [&](const at::Tensor& x) {
    return x.unflatten(-1, {heads, x.size(-1) / heads}).transpose(1, 2);
  };
  const at::Tensor y =
      at::scaled_dot_product_attention(split(q), split(k), split(v), {}, 0.0, mask == Mask::Causal);
  return y.transpose(1, 2).flatten(2).contiguous();  // the fused kernels give [B, L, N, K] strides
}

Attention::Attention(const WeightView& w, const Names& names, const Shape& shape)
    : heads(shape.heads),
      q(w.scope(names.q), shape.width, shape.width, shape.input_bias),
      k(w.scope(names.k), shape.context_width, shape.width, shape.input_bias),
      v(w.scope(names.v), shape.context_width, shape.width, shape.input_bias),
      out(w.scope(names.out), shape.width, shape.width) {}

at::Tensor Attention::operator()(const at::Tensor& x, const at::Tensor& context, Mask mask) const {
  // Queries, keys and values are gone before the output is made.
  const at::Tensor y = attention(q(x), k(context), v(context), heads, mask);
  return out(y);
}

}  // namespace emulsion::models

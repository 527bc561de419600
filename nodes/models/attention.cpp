#include "models/attention.h"

namespace emulsion::models {

Attention::Attention(const WeightView& w, const Names& names, const Shape& shape)
    : heads(shape.heads),
      q(w.scope(names.q), shape.width, shape.width, shape.input_bias),
      k(w.scope(names.k), shape.context_width, shape.width, shape.input_bias),
      v(w.scope(names.v), shape.context_width, shape.width, shape.input_bias),
      out(w.scope(names.out), shape.width, shape.width) {}

// Queries, keys and values are gone before the output is made.
at::Tensor Attention::operator()(const at::Tensor& x, const at::Tensor& context, Mask mask) const {
  const at::Tensor y = attention(q(x), k(context), v(context), heads, mask);
  return out(y);
}

void Attention::add_to_(at::Tensor& y, const at::Tensor& x, const at::Tensor& context) const {
  const at::Tensor attended = attention(q(x), k(context), v(context), heads);
  out.add_to_(y, attended);
}

}  // namespace emulsion::models

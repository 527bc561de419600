#include "models/attention.h"

namespace emulsion::models {

at::Tensor Attended::through(const Linear& layer, const std::string& name,
                             std::int64_t batch) const {
  at::Tensor alone;
  at::Tensor& of_states = made != nullptr ? (*made)[name] : alone;
  if (!of_states.defined()) of_states = layer(states);
  const std::int64_t P = of_states.size(0), S = of_states.size(1), D = of_states.size(2);
  if (P == batch) return of_states;
  return of_states.unsqueeze(1).expand({P, batch / P, S, D}).contiguous().view({batch, S, D});
}

Attention::Attention(const WeightView& w, const Names& names, const Shape& shape)
    : name(w.prefix()),
      heads(shape.heads),
      q(w.scope(names.q), shape.width, shape.width, shape.input_bias),
      k(w.scope(names.k), shape.context_width, shape.width, shape.input_bias),
      v(w.scope(names.v), shape.context_width, shape.width, shape.input_bias),
      out(w.scope(names.out), shape.width, shape.width) {}

// Queries, keys and values are gone before the output is made, but for what the context keeps.
at::Tensor Attention::attended(const at::Tensor& x, const Attended& context, Mask mask) const {
  const std::int64_t B = x.size(0);
  return attention(q(x), context.through(k, name + "k", B), context.through(v, name + "v", B),
                   heads, mask);
}

at::Tensor Attention::operator()(const at::Tensor& x, const Attended& context, Mask mask) const {
  return out(attended(x, context, mask));
}

void Attention::add_to_(at::Tensor& y, const at::Tensor& x, const Attended& context) const {
  out.add_to_(y, attended(x, context, Mask::None));
}

}  // namespace emulsion::models

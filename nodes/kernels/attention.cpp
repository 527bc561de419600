#include "kernels/attention.h"

#include "kernels/panel_attention.h"
#include "kernels/tensor_ops.h"

namespace emulsion::kernels {
namespace {

// [B, L, D] -> [B, N, L, K], a view
at::Tensor split_heads(const at::Tensor& x, std::int64_t heads) {
  return x.unflatten(-1, {heads, x.size(-1) / heads}).transpose(1, 2);
}

bool goes_by_panels(const at::Tensor& q, Mask mask) {
  return q.is_cpu() && mask == Mask::None && panels_attend(q.scalar_type());
}

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     std::int64_t heads, Mask mask) {
  if (goes_by_panels(q, mask))
    return panel_attention(q.contiguous(), k.contiguous(), v.contiguous(), heads);
  const at::Tensor y =
      at::scaled_dot_product_attention(split_heads(q, heads), split_heads(k, heads),
                                       split_heads(v, heads), {}, 0.0, mask == Mask::Causal);
  return y.transpose(1, 2).flatten(2).contiguous();  // the fused kernels give [B, L, N, K] strides
}

}  // namespace emulsion::kernels

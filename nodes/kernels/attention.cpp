#include "kernels/attention.h"

#include <ATen/ops/empty_like.h>

#include "kernels/linear.h"
#include "kernels/panel_attention.h"
#include "kernels/tensor_ops.h"

namespace emulsion::kernels {

namespace {

constexpr std::int64_t kFewestKeys = 256;  // with fewer, the fused kernel is as fast

// [B, L, D] -> [B, N, L, K], a view
at::Tensor split_heads(const at::Tensor& x, std::int64_t heads) {
  return x.unflatten(-1, {heads, x.size(-1) / heads}).transpose(1, 2);
}

bool goes_by_panels(const at::Tensor& q, std::int64_t heads, Mask mask) {
  return q.is_cpu() && mask == Mask::None && panels_attend(q.scalar_type(), q.size(-1) / heads);
}

// On CPUs, LibTorch's fused kernel multiplies bfloat16 at the speed of float32; oneDNN's products
// are several times as fast, which pays for writing out the scores of one tile.
bool prefers_tiles(const at::Tensor& q, const at::Tensor& k, Mask mask) {
  return q.is_cpu() && q.scalar_type() == at::kBFloat16 && !widens(q) && mask == Mask::None &&
         k.size(1) >= kFewestKeys;
}

// One head: q [L, K] scaled, k and v [S, K] -> into y [L, K]
void attend_in_tiles(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const at::Tensor& y) {
  const at::Tensor keys = k.t();
  for (std::int64_t begin = 0; begin < q.size(0); begin += kAttentionRows) {
    const std::int64_t rows = std::min(kAttentionRows, q.size(0) - begin);
    const at::Tensor scores = q.narrow(0, begin, rows).mm(keys);  // [rows, S]
    y.narrow(0, begin, rows).copy_(at::_softmax(scores, -1, false).mm(v));
  }
}

at::Tensor tiled_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           std::int64_t heads) {
  at::Tensor y = at::empty_like(q);  // [B, L, D]
  const at::Tensor q_heads = split_heads(q, heads), k_heads = split_heads(k, heads),
                   v_heads = split_heads(v, heads), y_heads = split_heads(y, heads);
  const double scale = 1 / std::sqrt(static_cast<double>(q_heads.size(-1)));
  for (std::int64_t b = 0; b < q.size(0); ++b)
    for (std::int64_t n = 0; n < heads; ++n)
      attend_in_tiles(q_heads[b][n].mul(scale).contiguous(), k_heads[b][n].contiguous(),
                      v_heads[b][n].contiguous(), y_heads[b][n]);
  return y;
}

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     std::int64_t heads, Mask mask) {
  if (goes_by_panels(q, heads, mask))
    return panel_attention(q.contiguous(), k.contiguous(), v.contiguous(), heads);
  if (prefers_tiles(q, k, mask)) return tiled_attention(q, k, v, heads);
  const at::Tensor y =
      at::scaled_dot_product_attention(split_heads(q, heads), split_heads(k, heads),
                                       split_heads(v, heads), {}, 0.0, mask == Mask::Causal);
  return y.transpose(1, 2).flatten(2).contiguous();  // the fused kernels give [B, L, N, K] strides
}

}  // namespace emulsion::kernels

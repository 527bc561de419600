#include "kernels/attention.h"

#include "kernels/amx_attention.h"
#include "kernels/panel_attention.h"
#include "kernels/tensor_ops.h"

namespace emulsion::kernels {
namespace {

// [B, L, D] -> [B, N, L, K], a view
at::Tensor split_heads(const at::Tensor& x, std::int64_t heads) {
  return x.unflatten(-1, {heads, x.size(-1) / heads}).transpose(1, 2);
}

// What attends to tensors on the CPU.
enum class Way : std::uint8_t { Tiles, Panels, LibTorch };

Way way_of(c10::ScalarType dtype, Mask mask) {
  if (mask != Mask::None) return Way::LibTorch;
  if (amx_attends(dtype)) return Way::Tiles;
  return panels_attend(dtype) ? Way::Panels : Way::LibTorch;
}

// x with contiguous rows
at::Tensor in_rows(const at::Tensor& x) { return x.stride(2) == 1 ? x : x.contiguous(); }

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     std::int64_t heads, Mask mask) {
  const Way way = q.is_cpu() ? way_of(q.scalar_type(), mask) : Way::LibTorch;
  if (way == Way::Tiles) return amx_attention(in_rows(q), in_rows(k), in_rows(v), heads);
  if (way == Way::Panels)
    return panel_attention(q.contiguous(), k.contiguous(), v.contiguous(), heads);
  const at::Tensor y =
      at::scaled_dot_product_attention(split_heads(q, heads), split_heads(k, heads),
                                       split_heads(v, heads), {}, 0.0, mask == Mask::Causal);
  return y.transpose(1, 2).flatten(2).contiguous();  // the fused kernels give [B, L, N, K] strides
}

std::optional<std::int64_t> attention_scratch(const AttentionShape& shape, c10::ScalarType dtype,
                                              Mask mask, std::int64_t threads) {
  switch (way_of(dtype, mask)) {
    case Way::Tiles: return amx_attention_scratch(shape, threads);
    case Way::Panels: return panel_attention_scratch(shape, dtype, threads);
    case Way::LibTorch: return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace emulsion::kernels

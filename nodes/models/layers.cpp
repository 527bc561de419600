#include "models/layers.h"

#include <ATen/ops/mish.h>

#include "kernels/norm_silu.h"
#include "models/low_rank.h"
#include "models/norm_statistics.h"
#include "models/ops.h"
#include "models/packed_layers.h"

namespace emulsion::models {

void activate_(at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::Silu: at::silu_(x); return;
    case Activation::Gelu: at::gelu_(x); return;
    case Activation::GeluTanh: at::gelu_(x, "tanh"); return;
    case Activation::QuickGelu: x.mul_(x.mul(1.702).sigmoid_()); return;
    case Activation::Relu: x.relu_(); return;
    case Activation::Mish: at::mish_(x); return;
  }
}

at::Tensor upsample(const at::Tensor& x, std::int64_t height, std::int64_t width) {
  return at::upsample_nearest2d(x, {height, width});
}

at::Tensor tokens_of(const at::Tensor& map) {
  return map.permute({0, 2, 3, 1}).flatten(1, 2).contiguous();  // [B, H, W, C] -> [B, H*W, C]
}

at::Tensor map_of(const at::Tensor& tokens, std::int64_t height, std::int64_t width) {
  const std::int64_t B = tokens.size(0), C = tokens.size(2);
  return in_map_layout(tokens.view({B, height, width, C}).permute({0, 3, 1, 2}));
}

namespace {

// A 1x1 convolution on a map is a linear layer on its tokens.  Files hold either form.
Weight matrix(const WeightView& w, std::int64_t in, std::int64_t out) {
  const TensorSpec* spec = w.find("weight");
  if (spec == nullptr || spec->shape.size() != 4) return w.packed("weight", {out, in});
  Weight kernel = w.packed("weight", {out, in, 1, 1});
  kernel.spec.shape = {out, in};
  if (kernel.data.defined() && kernel.packing == Packing::None)
    kernel.data = kernel.data.view({out, in});
  return kernel;
}

}  // namespace

Linear::Linear(const WeightView& w, std::int64_t in, std::int64_t out, bool has_bias)
    : weight(matrix(w, in, out)),
      bias(has_bias ? w.tensor("bias", {out}) : at::Tensor()),
      branches(linear_branches(w)) {}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  at::Tensor y = linear(x, weight, bias);
  for (const LowRank& branch : branches) add_linear_branch_(y, x, branch);
  return y;
}

Conv2d::Conv2d(const WeightView& w, const ConvShape& conv_shape)
    : shape(conv_shape),
      weight(w.packed("weight", {shape.out, shape.in, shape.kernel, shape.kernel})),
      bias(w.tensor("bias", {shape.out})),
      branches(conv_branches(w)) {}

at::Tensor Conv2d::operator()(const at::Tensor& x) const {
  at::Tensor y = conv2d(x, weight, bias, shape);
  for (const LowRank& branch : branches) add_conv_branch_(y, x, branch, shape);
  return y;
}

at::Tensor downsampled(const at::Tensor& x, const Conv2d& conv) {
  return conv(conv.shape.padding == 0 ? at::pad(x, {0, 1, 0, 1}) : x);
}

LayerNorm::LayerNorm(const WeightView& w, std::int64_t width, double norm_eps)
    : weight(w.tensor("weight", {width})), bias(w.tensor("bias", {width})), eps(norm_eps) {}

at::Tensor LayerNorm::operator()(const at::Tensor& x) const {
  return at::layer_norm(x, weight.sizes(), weight, bias, eps);
}

GroupNorm::GroupNorm(const WeightView& w, std::int64_t channels, const NormConfig& norm)
    : weight(w.tensor("weight", {channels})), bias(w.tensor("bias", {channels})), config(norm) {}

at::Tensor GroupNorm::operator()(const at::Tensor& x, NormStatistics* statistics) const {
  if (statistics != nullptr) return statistics->normalised(*this, x);
  return at::group_norm(x, config.groups, weight, bias, config.eps);
}

at::Tensor GroupNorm::activated(const at::Tensor& x, NormStatistics* statistics) const {
  if (statistics == nullptr && config.activation == Activation::Silu && kernels::suits_norm_silu(x))
    return kernels::norm_silu(x, config.groups, weight, bias, config.eps);
  at::Tensor y = (*this)(x, statistics);
  activate_(y, config.activation);
  return y;
}

ResnetBlock::ResnetBlock(const WeightView& w, const Shape& block, const NormConfig& norm)
    : shape(block),
      norm1(w.scope("norm1"), block.in, norm),
      norm2(w.scope("norm2"), block.out, norm),
      conv1(w.scope("conv1"), {.in = block.in, .out = block.out}),
      conv2(w.scope("conv2"), {.in = block.out, .out = block.out}) {
  if (block.time > 0) time_emb_proj.emplace(w.scope("time_emb_proj"), block.time, block.out);
  if (block.in != block.out)
    conv_shortcut.emplace(w.scope("conv_shortcut"),
                          ConvShape{.in = block.in, .out = block.out, .kernel = 1, .padding = 0});
}

at::Tensor ResnetBlock::operator()(const at::Tensor& x, const at::Tensor& time,
                                   NormStatistics* statistics) const {
  at::Tensor y = conv1(norm1.activated(x, statistics));
  if (time_emb_proj)
    y.add_((*time_emb_proj)(time).unsqueeze(-1).unsqueeze(-1));  // [1 or B, C, 1, 1]
  y = norm2.activated(y, statistics);
  y = conv2(y);
  y.add_(conv_shortcut ? (*conv_shortcut)(x) : x);
  return shape.scale == 1 ? y : y.div_(shape.scale);
}

}  // namespace emulsion::models

#include "models/layers.h"

#include <ATen/ops/mish.h>

#include "kernels/amx_product.h"
#include "kernels/norm_silu.h"
#include "models/low_rank.h"
#include "models/norm_statistics.h"
#include "models/ops.h"

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

void Linear::add_to_(at::Tensor& y, const at::Tensor& x) const {
  if (branches.empty())
    kernels::add_linear_(y, x, weight, bias);
  else
    y.add_((*this)(x));
}

Conv2d::Conv2d(const WeightView& w, const ConvShape& conv_shape)
    : shape(conv_shape),
      weight(w.packed("weight", {shape.out, shape.in, shape.kernel, shape.kernel})),
      bias(w.tensor("bias", {shape.out})),
      branches(conv_branches(w)) {}

at::Tensor Conv2d::operator()(const at::Tensor& x, const ConvFusion& fusion) const {
  at::Tensor y = conv2d(x, weight, bias, shape, fusion);
  for (const LowRank& branch : branches) add_conv_branch_(y, x, branch, shape);
  return y;
}

void Conv2d::add_to_(at::Tensor& y, const at::Tensor& x) const {
  const bool are_rows = x.is_contiguous(at::MemoryFormat::ChannelsLast) &&
                        y.is_contiguous(at::MemoryFormat::ChannelsLast);
  if (shape.kernel != 1 || !branches.empty() || !are_rows ||
      !kernels::goes_by_amx(x, shape.in, shape.out)) {
    y.add_((*this)(x));
    return;
  }
  at::Tensor rows = y.permute({0, 2, 3, 1});
  kernels::amx_add_linear_(rows, x.permute({0, 2, 3, 1}), weight, bias);
}

at::Tensor upsampled(at::Tensor x, const Conv2d& conv, std::int64_t height, std::int64_t width) {
  const bool is_doubled = height == 2 * x.size(2) && width == 2 * x.size(3);
  if (is_doubled && conv.branches.empty())
    return kernels::doubled_conv2d(std::move(x), conv.weight, conv.bias, conv.shape);
  x = upsample(x, height, width);
  return conv(x);
}

at::Tensor downsampled(const at::Tensor& x, const Conv2d& conv) {
  if (conv.shape.padding == 1) return conv(x);
  if (conv.branches.empty()) return kernels::halved_conv2d(x, conv.weight, conv.bias, conv.shape);
  return conv(at::pad(x, {0, 1, 0, 1}));
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

kernels::GroupNormWeights GroupNorm::weights() const {
  return {config.groups, weight, bias, config.eps};
}

at::Tensor GroupNorm::activated(const at::Tensor& x, NormStatistics* statistics) const {
  if (statistics == nullptr && config.activation == Activation::Silu && kernels::suits_norm_silu(x))
    return kernels::norm_silu(x, weights());
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

namespace {

// Norm, activation and convolution.  The map is given up where its norm takes its place.
at::Tensor normed(const GroupNorm& norm, const Conv2d& conv, at::Tensor x,
                  NormStatistics* statistics, ConvFusion fusion) {
  const kernels::GroupNormWeights weights = norm.weights();
  const bool is_silu_of_own = statistics == nullptr && norm.config.activation == Activation::Silu;
  if (is_silu_of_own && conv.branches.empty() && kernels::takes_norm(x, conv.shape))
    fusion.norm = &weights;
  else
    x = norm.activated(x, statistics);
  return conv(x, fusion);
}

}  // namespace

at::Tensor ResnetBlock::operator()(const at::Tensor& x, const at::Tensor& time,
                                   NormStatistics* statistics) const {
  ConvFusion first, last;
  if (time_emb_proj) first.shift = (*time_emb_proj)(time);  // [1 or B, C]
  if (!conv_shortcut) last.added = x;
  at::Tensor y = normed(norm1, conv1, x, statistics, first);
  y = normed(norm2, conv2, std::move(y), statistics, last);
  if (conv_shortcut) conv_shortcut->add_to_(y, x);
  return shape.scale == 1 ? y : y.div_(shape.scale);
}

}  // namespace emulsion::models

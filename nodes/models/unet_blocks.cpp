#include "models/unet_blocks.h"

#include "kernels/gated.h"
#include "models/ops.h"

namespace emulsion::models {
namespace {

constexpr Attention::Names kNames = {"to_q", "to_k", "to_v", "to_out.0"};
constexpr double kNormEps = 1e-5;       // of the layer norms, fixed in diffusers
constexpr double kInputNormEps = 1e-6;  // of the group norm, fixed in diffusers

Attention::Shape self_attention(const UnetConfig::Level& level) {
  const std::int64_t context = level.only_cross_attention ? level.context_width : level.channels;
  return {.width = level.channels, .context_width = context, .heads = level.heads};
}

Attention::Shape cross_attention(const UnetConfig::Level& level) {
  return {.width = level.channels, .context_width = level.context_width, .heads = level.heads};
}

NormConfig input_norm(NormConfig norm) {
  norm.eps = kInputNormEps;
  return norm;
}

}  // namespace

FeedForward::FeedForward(const WeightView& w, std::int64_t width)
    : proj(w.scope("net.0.proj"), width, 8 * width), out(w.scope("net.2"), 4 * width, width) {}

// [L, D] -> [L, 4 D]
at::Tensor FeedForward::gated(const at::Tensor& x) const {
  return proj.branches.empty() ? kernels::gated_linear(x, proj.weight, proj.bias)
                               : kernels::gated(proj(x));
}

void FeedForward::add_to_(at::Tensor& y, const at::Tensor& x) const { out.add_to_(y, gated(x)); }

TransformerBlock::TransformerBlock(const WeightView& w, const UnetConfig::Level& level)
    : norm1(w.scope("norm1"), level.channels, kNormEps),
      norm2(w.scope("norm2"), level.channels, kNormEps),
      norm3(w.scope("norm3"), level.channels, kNormEps),
      attn1(w.scope("attn1"), kNames, self_attention(level)),
      attn2(w.scope("attn2"), kNames, cross_attention(level)),
      ff(w.scope("ff"), level.channels),
      only_cross_attention(level.only_cross_attention) {}

void TransformerBlock::apply_(at::Tensor& x, const Attended& context,
                              const TokenMerging* merging) const {
  if (merging != nullptr) {
    const MergedTokens tokens(x, *merging);
    const at::Tensor normed = tokens.merged(norm1(x));
    x.add_(tokens.restored(attn1(normed, only_cross_attention ? context : normed)));
  } else {
    const at::Tensor normed = norm1(x);
    attn1.add_to_(x, normed, only_cross_attention ? context : normed);
  }
  attn2.add_to_(x, norm2(x), context);
  const at::Tensor rows = x.view({-1, x.size(-1)});  // [B*L, D]
  for (std::int64_t begin = 0; begin < rows.size(0); begin += kFeedForwardRows) {
    at::Tensor slice = rows.narrow(0, begin, std::min(kFeedForwardRows, rows.size(0) - begin));
    ff.add_to_(slice, norm3(slice));
  }
}

TransformerStage::TransformerStage(const WeightView& w, const UnetConfig::Level& level,
                                   const NormConfig& norm_config, std::int64_t position)
    : block(w.scope("transformer_blocks").scope(std::to_string(position)), level) {
  if (position == 0) {
    norm.emplace(w.scope("norm"), level.channels, input_norm(norm_config));
    proj_in.emplace(w.scope("proj_in"), level.channels, level.channels);
  }
  if (position + 1 == level.transformer_layers)
    proj_out.emplace(w.scope("proj_out"), level.channels, level.channels);
}

at::Tensor TransformerStage::operator()(const at::Tensor& map, at::Tensor tokens,
                                        const UnetInputs& inputs) const {
  if (proj_in) tokens = (*proj_in)(tokens_of((*norm)(map)));
  block.apply_(tokens, inputs.context, inputs.merging.on(map) ? &inputs.merging : nullptr);
  return proj_out ? (*proj_out)(tokens) : tokens;
}

SpatialTransformer::SpatialTransformer(const WeightView& w, const UnetConfig::Level& level,
                                       const NormConfig& norm) {
  for (std::int64_t i = 0; i < level.transformer_layers; ++i)
    stages.emplace_back(w, level, norm, i);
}

at::Tensor SpatialTransformer::operator()(const at::Tensor& x, const UnetInputs& inputs) const {
  at::Tensor tokens;  // [B, H*W, C]
  for (const Streamed<TransformerStage>& stage : stages)
    tokens = stage()(x, std::move(tokens), inputs);
  return map_of(tokens, x.size(2), x.size(3)).add_(x);
}

UnetUnit::UnetUnit(const WeightView& block, std::int64_t position, const ResnetBlock::Shape& shape,
                   const UnetConfig::Level& level, const NormConfig& norm)
    : resnet(block.scope("resnets").scope(std::to_string(position)), shape, norm) {
  if (level.transformer_layers > 0)
    attention.emplace(block.scope("attentions").scope(std::to_string(position)), level, norm);
}

at::Tensor UnetUnit::operator()(at::Tensor x, const UnetInputs& inputs) const {
  inputs.checkpoint();
  x = resnet()(x, inputs.time);
  return attention ? (*attention)(x, inputs) : x;
}

}  // namespace emulsion::models

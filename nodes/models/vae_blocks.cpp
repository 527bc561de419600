#include "models/vae_blocks.h"

#include "models/ops.h"

namespace emulsion::models {
namespace {

// Files of before 2023 have the old names, and 1x1 convolutions instead of linear layers.
constexpr Attention::Names kNames = {"to_q", "to_k", "to_v", "to_out.0"};
constexpr Attention::Names kOldNames = {"query", "key", "value", "proj_attn"};

ResnetBlock::Shape middle_shape(const VaeConfig& config) {
  return {.in = config.channels.back(), .out = config.channels.back()};
}

}  // namespace

MapAttention::MapAttention(const WeightView& w, std::int64_t channels, const NormConfig& norm)
    : group_norm(w.scope("group_norm"), channels, norm),
      attention(w, w.contains("query.weight") ? kOldNames : kNames,
                {.width = channels, .context_width = channels, .input_bias = true}) {}

at::Tensor MapAttention::operator()(const at::Tensor& x, NormStatistics* statistics) const {
  const at::Tensor tokens = tokens_of(group_norm(x, statistics));  // [B, H*W, C]
  return map_of(attention(tokens, tokens), x.size(2), x.size(3)).add_(x);
}

VaeMiddle::VaeMiddle(const WeightView& w, const VaeConfig& config)
    : first(w.scope("resnets.0"), middle_shape(config), config.norm),
      attention(config.middle_attention
                    ? std::optional<Streamed<MapAttention>>(std::in_place, w.scope("attentions.0"),
                                                            config.channels.back(), config.norm)
                    : std::nullopt),
      last(w.scope("resnets.1"), middle_shape(config), config.norm) {}

at::Tensor VaeMiddle::operator()(at::Tensor x, NormStatistics* statistics) const {
  x = first()(x, {}, statistics);
  if (attention) x = (*attention)()(x, statistics);
  return last()(x, {}, statistics);
}

NormConfig vae_output_norm(const VaeConfig& config) {
  NormConfig norm = config.norm;
  norm.activation = Activation::Silu;  // fixed in diffusers' Encoder and Decoder
  return norm;
}

}  // namespace emulsion::models

#include "models/vae.h"

#include "models/ops.h"

namespace emulsion::models {
namespace {

// Files of before 2023 have the old names, and 1x1 convolutions instead of linear layers.
constexpr Attention::Names kNames = {"to_q", "to_k", "to_v", "to_out.0"};
constexpr Attention::Names kOldNames = {"query", "key", "value", "proj_attn"};

ConvShape pointwise(std::int64_t channels) {
  return {.in = channels, .out = channels, .kernel = 1, .padding = 0};
}

NormConfig output_norm(NormConfig norm) {
  norm.activation = Activation::Silu;  // fixed in diffusers' Decoder
  return norm;
}

VaeDecoder::UpBlock up_block(const WeightView& w, std::int64_t in, std::int64_t out, bool upsamples,
                             const VaeConfig& config) {
  VaeDecoder::UpBlock block;
  for (std::int64_t i = 0; i <= config.layers; ++i)
    block.resnets.emplace_back(w.scope("resnets").scope(std::to_string(i)),
                               ResnetBlock::Shape{.in = i == 0 ? in : out, .out = out},
                               config.norm);
  if (upsamples) block.upsampler.emplace(w.scope("upsamplers.0.conv"), ConvShape{out, out});
  return block;
}

}  // namespace

MapAttention::MapAttention(const WeightView& w, std::int64_t channels, const NormConfig& norm)
    : group_norm(w.scope("group_norm"), channels, norm),
      attention(w, w.contains("query.weight") ? kOldNames : kNames,
                {.width = channels, .context_width = channels, .input_bias = true}) {}

at::Tensor MapAttention::operator()(const at::Tensor& x) const {
  const at::Tensor tokens = tokens_of(group_norm(x));  // [B, H*W, C]
  return map_of(attention(tokens, tokens), x.size(2), x.size(3)).add_(x);
}

VaeDecoder::VaeDecoder(const WeightView& w, const VaeConfig& config)
    : conv_in(w.scope("decoder.conv_in"),
              {.in = config.latent_channels, .out = config.channels.back()}),
      norm_out(w.scope("decoder.conv_norm_out"), config.channels.front(), output_norm(config.norm)),
      conv_out(w.scope("decoder.conv_out"), {.in = config.channels.front(), .out = 3}) {
  if (config.has_post_quant_conv)
    post_quant_conv.emplace(w.scope("post_quant_conv"), pointwise(config.latent_channels));
  const WeightView mid = w.scope("decoder.mid_block");
  std::int64_t in = config.channels.back();
  for (const char* name : {"resnets.0", "resnets.1"})
    middle.emplace_back(mid.scope(name), ResnetBlock::Shape{.in = in, .out = in}, config.norm);
  if (config.middle_attention) middle_attention.emplace(mid.scope("attentions.0"), in, config.norm);
  const std::size_t levels = config.channels.size();
  for (std::size_t i = 0; i < levels; ++i) {
    const std::int64_t out = config.channels[levels - 1 - i];
    up.push_back(up_block(w.scope("decoder.up_blocks").scope(std::to_string(i)), in, out,
                          i + 1 < levels, config));
    in = out;
  }
  w.ignore_scope("encoder");
  w.ignore_scope("quant_conv");
}

at::Tensor VaeDecoder::operator()(const at::Tensor& latent, const Checkpoint& checkpoint) const {
  at::Tensor x = in_map_layout(latent);
  if (post_quant_conv) x = (*post_quant_conv)(x);
  x = conv_in(x);
  x = middle[0](x, {});
  if (middle_attention) x = (*middle_attention)(x);
  x = middle[1](x, {});
  for (const UpBlock& block : up) {
    for (const ResnetBlock& resnet : block.resnets) {
      checkpoint();
      x = resnet(x, {});
    }
    if (!block.upsampler) continue;
    checkpoint();
    x = upsample(x, 2 * x.size(2), 2 * x.size(3));
    x = (*block.upsampler)(x);
  }
  x = norm_out.activated(x);
  return conv_out(x);
}

}  // namespace emulsion::models

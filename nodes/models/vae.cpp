#include "models/vae.h"

#include "models/ops.h"

namespace emulsion::models {
namespace {

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

VaeDecoder::VaeDecoder(const WeightView& w, const VaeConfig& config)
    : conv_in(w.scope("decoder.conv_in"),
              {.in = config.latent_channels, .out = config.channels.back()}),
      middle(w.scope("decoder.mid_block"), config),
      norm_out(w.scope("decoder.conv_norm_out"), config.channels.front(), vae_output_norm(config)),
      conv_out(w.scope("decoder.conv_out"), {.in = config.channels.front(), .out = 3}) {
  if (config.has_post_quant_conv)
    post_quant_conv.emplace(w.scope("post_quant_conv"), ConvShape{.in = config.latent_channels,
                                                                  .out = config.latent_channels,
                                                                  .kernel = 1,
                                                                  .padding = 0});
  std::int64_t in = config.channels.back();
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

at::Tensor VaeDecoder::operator()(const at::Tensor& latent, const Checkpoint& checkpoint,
                                  NormStatistics* statistics) const {
  at::Tensor x = in_map_layout(latent);
  if (post_quant_conv) x = (*post_quant_conv)(x);
  x = conv_in(x);
  x = middle(std::move(x), statistics);
  for (const UpBlock& block : up) {
    for (const Streamed<ResnetBlock>& resnet : block.resnets) {
      checkpoint();
      x = resnet()(x, {}, statistics);
    }
    if (!block.upsampler) continue;
    checkpoint();
    const std::int64_t height = 2 * x.size(2), width = 2 * x.size(3);
    x = upsampled(std::move(x), (*block.upsampler)(), height, width);
  }
  x = norm_out.activated(x, statistics);
  return conv_out(x);
}

}  // namespace emulsion::models

#include "models/vae_encoder.h"

#include "models/ops.h"

namespace emulsion::models {
namespace {

constexpr double kLeastLogVariance = -30, kLargestLogVariance = 20;  // fixed in diffusers

VaeEncoder::DownBlock down_block(const WeightView& w, std::int64_t in, std::int64_t out,
                                 bool downsamples, const VaeConfig& config) {
  VaeEncoder::DownBlock block;
  for (std::int64_t i = 0; i < config.layers; ++i)
    block.resnets.emplace_back(w.scope("resnets").scope(std::to_string(i)),
                               ResnetBlock::Shape{.in = i == 0 ? in : out, .out = out},
                               config.norm);
  if (downsamples)
    block.downsampler.emplace(w.scope("downsamplers.0.conv"),
                              ConvShape{.in = out, .out = out, .stride = 2, .padding = 0});
  return block;
}

std::vector<VaeEncoder::DownBlock> down_blocks(const WeightView& w, const VaeConfig& config) {
  std::vector<VaeEncoder::DownBlock> blocks;
  std::int64_t in = config.channels.front();
  for (std::size_t i = 0; i < config.channels.size(); ++i) {
    blocks.push_back(down_block(w.scope(std::to_string(i)), in, config.channels[i],
                                i + 1 < config.channels.size(), config));
    in = config.channels[i];
  }
  return blocks;
}

}  // namespace

VaeEncoder::VaeEncoder(const WeightView& w, const VaeConfig& config)
    : conv_in(w.scope("encoder.conv_in"), {.in = 3, .out = config.channels.front()}),
      down(down_blocks(w.scope("encoder.down_blocks"), config)),
      middle(w.scope("encoder.mid_block"), config),
      norm_out(w.scope("encoder.conv_norm_out"), config.channels.back(), vae_output_norm(config)),
      conv_out(w.scope("encoder.conv_out"),
               {.in = config.channels.back(), .out = 2 * config.latent_channels}) {
  if (config.has_quant_conv)
    quant_conv.emplace(w.scope("quant_conv"), ConvShape{.in = 2 * config.latent_channels,
                                                        .out = 2 * config.latent_channels,
                                                        .kernel = 1,
                                                        .padding = 0});
  w.ignore_scope("decoder");
  w.ignore_scope("post_quant_conv");
}

LatentDistribution VaeEncoder::operator()(const at::Tensor& image, const Checkpoint& checkpoint,
                                          NormStatistics* statistics) const {
  at::Tensor x = conv_in(in_map_layout(image));
  for (const DownBlock& block : down) {
    for (const Streamed<ResnetBlock>& resnet : block.resnets) {
      checkpoint();
      x = resnet()(x, {}, statistics);
    }
    if (block.downsampler) x = downsampled(x, (*block.downsampler)());
  }
  x = middle(std::move(x), statistics);
  x = norm_out.activated(x, statistics);
  x = conv_out(x);
  if (quant_conv) x = (*quant_conv)(x);
  const std::vector<at::Tensor> halves = x.chunk(2, 1);  // mean and log of the variance
  return {halves[0], halves[1].clamp(kLeastLogVariance, kLargestLogVariance).mul(0.5).exp_()};
}

}  // namespace emulsion::models

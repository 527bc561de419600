#include "models/unet.h"

#include "models/ops.h"

namespace emulsion::models {
namespace {

using Level = UnetConfig::Level;

constexpr std::size_t kAll = static_cast<std::size_t>(-1);

std::int64_t outermost(const UnetConfig& config) { return config.down.front().channels; }

Unet::DownBlock down_block(const WeightView& w, std::int64_t in, const Level& level,
                           bool downsamples, const UnetConfig& config) {
  Unet::DownBlock block;
  for (std::int64_t i = 0; i < level.layers; ++i)
    block.units.emplace_back(
        w, i,
        ResnetBlock::Shape{
            .in = i == 0 ? in : level.channels, .out = level.channels, .time = config.time_width},
        level, config.norm);
  if (downsamples)
    block.downsampler.emplace(w.scope("downsamplers.0.conv"),
                              ConvShape{.in = level.channels,
                                        .out = level.channels,
                                        .stride = 2,
                                        .padding = config.downsample_padding});
  return block;
}

// `skips` are the channels that the way down left, the last on top; the block takes its own.
Unet::UpBlock up_block(const WeightView& w, std::int64_t in, const Level& level, bool upsamples,
                       std::vector<std::int64_t>& skips, const UnetConfig& config) {
  Unet::UpBlock block;
  for (std::int64_t i = 0; i < level.layers; ++i) {
    block.units.emplace_back(w, i,
                             ResnetBlock::Shape{.in = (i == 0 ? in : level.channels) + skips.back(),
                                                .out = level.channels,
                                                .time = config.time_width},
                             level, config.norm);
    skips.pop_back();
  }
  if (upsamples)
    block.upsampler.emplace(w.scope("upsamplers.0.conv"),
                            ConvShape{level.channels, level.channels});
  return block;
}

void add_middle(Unet& unet, const WeightView& w, const UnetConfig& config) {
  const Level& level = config.middle;
  const ResnetBlock::Shape shape{.in = level.channels,
                                 .out = level.channels,
                                 .time = config.time_width,
                                 .scale = level.layers == 2 ? config.middle_scale : 1};
  if (level.layers > 0) unet.middle.emplace_back(w, 0, shape, level, config.norm);
  if (level.layers > 1) unet.middle_end.emplace(w.scope("resnets.1"), shape, config.norm);
}

SinusoidShape size_sinusoid(const UnetConfig& config) {
  return {.width = config.size_width,
          .flip_sin_to_cos = config.flip_sin_to_cos,
          .freq_shift = config.freq_shift};
}

}  // namespace

Unet::Unet(const WeightView& w, const UnetConfig& config)
    : conv_in(w.scope("conv_in"), {.in = config.in_channels,
                                   .out = outermost(config),
                                   .kernel = config.conv_in_kernel,
                                   .padding = (config.conv_in_kernel - 1) / 2}),
      time_embedding(w.scope("time_embedding"),
                     {.width = outermost(config),
                      .flip_sin_to_cos = config.flip_sin_to_cos,
                      .freq_shift = config.freq_shift},
                     config.time_width, config.norm.activation),
      norm_out(w.scope("conv_norm_out"), outermost(config), config.norm),
      conv_out(w.scope("conv_out"), {.in = outermost(config),
                                     .out = config.out_channels,
                                     .kernel = config.conv_out_kernel,
                                     .padding = (config.conv_out_kernel - 1) / 2}),
      activation_(config.norm.activation) {
  if (config.added_width > 0)
    add_embedding.emplace(w.scope("add_embedding"), size_sinusoid(config), config.added_width,
                          config.time_width);
  const std::size_t levels = config.down.size();
  std::vector<std::int64_t> skips = {outermost(config)};
  std::int64_t in = outermost(config);
  for (std::size_t i = 0; i < levels; ++i) {
    const Level& level = config.down[i];
    down.push_back(down_block(w.scope("down_blocks").scope(std::to_string(i)), in, level,
                              i + 1 < levels, config));
    const auto left = level.layers + (i + 1 < levels ? 1 : 0);
    skips.insert(skips.end(), static_cast<std::size_t>(left), level.channels);
    in = level.channels;
  }
  add_middle(*this, w.scope("mid_block"), config);
  for (std::size_t i = 0; i < levels; ++i) {
    up.push_back(up_block(w.scope("up_blocks").scope(std::to_string(i)), in, config.up[i],
                          i + 1 < levels, skips, config));
    in = config.up[i].channels;
  }
}

at::Tensor Unet::embedded(double timestep, const UnetCondition& condition) const {
  at::Tensor time = time_embedding(timestep);
  if (add_embedding) time = time.add((*add_embedding)(condition.pooled, condition.time_ids));
  activate_(time, activation_);
  return time;
}

// That of the outermost maps that are attended to.
void Unet::set_size(TokenMerging& merging, const at::Tensor& sample) const {
  merging.height = sample.size(2);
  merging.width = sample.size(3);
  for (const DownBlock& block : down) {
    if (!block.units.empty() && block.units.front().attention) return;
    merging.height = (merging.height + 1) / 2;
    merging.width = (merging.width + 1) / 2;
  }
  merging.ratio = 0;
}

std::vector<at::Tensor> Unet::way_down(const at::Tensor& sample, const UnetInputs& inputs,
                                       std::size_t most) const {
  std::vector<at::Tensor> skips = {conv_in(in_map_layout(sample))};
  for (const DownBlock& block : down) {
    for (const UnetUnit& unit : block.units) {
      if (skips.size() == most) return skips;
      skips.push_back(unit(skips.back(), inputs));
    }
    if (!block.downsampler) continue;
    if (skips.size() == most) return skips;
    skips.push_back(downsampled(skips.back(), (*block.downsampler)()));
  }
  return skips;
}

at::Tensor Unet::through_middle(at::Tensor x, const UnetInputs& inputs) const {
  for (const UnetUnit& unit : middle) x = unit(std::move(x), inputs);
  if (middle_end) x = (*middle_end)()(x, inputs.time);
  return x;
}

at::Tensor Unet::way_up(at::Tensor x, std::vector<at::Tensor> skips, const UnetInputs& inputs,
                        DeepFeatures* deep) const {
  std::size_t units = 0;
  for (const UpBlock& block : up) units += block.units.size();
  const std::size_t first = units - skips.size();  // of those that are evaluated
  std::size_t position = 0;
  for (const UpBlock& block : up) {
    for (const UnetUnit& unit : block.units) {
      if (position++ < first) continue;
      if (deep != nullptr && static_cast<std::int64_t>(skips.size()) == deep->branch + 1)
        deep->map = x;
      x = at::cat({x, skips.back()}, 1);
      skips.pop_back();
      x = unit(std::move(x), inputs);
    }
    if (!block.upsampler || position <= first) continue;
    // Odd sizes do not just double.
    x = upsampled(std::move(x), (*block.upsampler)(), skips.back().size(2), skips.back().size(3));
  }
  return x;
}

at::Tensor Unet::operator()(const at::Tensor& sample, double timestep,
                            const UnetCondition& condition, const Checkpoint& checkpoint,
                            DeepFeatures* deep, TokenMerging merging) const {
  set_size(merging, sample);
  const UnetInputs inputs{embedded(timestep, condition), condition.context, checkpoint, merging};
  const bool reuses = deep != nullptr && deep->map.defined();
  const std::size_t most = reuses ? static_cast<std::size_t>(deep->branch) + 1 : kAll;
  std::vector<at::Tensor> skips = way_down(sample, inputs, most);
  at::Tensor x = reuses ? deep->map : through_middle(skips.back(), inputs);
  x = way_up(std::move(x), std::move(skips), inputs, deep);
  x = norm_out.activated(x);
  return conv_out(x);
}

}  // namespace emulsion::models

#include "models/cost.h"

#include "models/cost_tally.h"

namespace emulsion::models {
namespace {

// The input is dropped.
void replace_by_resnet(Tally& tally, std::int64_t in, std::int64_t out, const MapBatch& map) {
  resnet(tally, in, out, map, 0);
  tally.drop(in * map.pixels());
}

void vae_middle(Tally& tally, const VaeConfig& config, const MapBatch& map) {
  const std::int64_t C = config.channels.back(), P = map.pixels();
  replace_by_resnet(tally, C, C, map);
  if (config.middle_attention) {
    const std::int64_t positions = map.height * map.width;
    tally.norm(C * P);
    tally.hold(C * P);  // normed
    attention(tally, {C, 1, map.batch, positions, positions}, C);
    tally.drop(C * P);
    tally.add(C * P);
  }
  replace_by_resnet(tally, C, C, map);
}

void clip_text_mlp(Tally& tally, const ClipTextConfig& config, std::int64_t L) {
  const std::int64_t D = config.width, F = config.feed_forward_width;
  tally.norm(D * L);
  tally.hold(D * L);  // normed
  tally.multiply(L, D, F);
  tally.hold(F * L);
  tally.drop(D * L);
  tally.activate(F * L);
  if (config.activation == Activation::QuickGelu) tally.pass(F * L);
  tally.multiply(L, F, D);
  tally.pass(D * L);
  tally.drop(F * L);
  tally.add(D * L);
}

}  // namespace

Cost clip_text_cost(const ClipTextConfig& config, std::int64_t batch, std::int64_t tokens,
                    c10::ScalarType dtype, const BranchLoad& branches) {
  Tally tally(dtype, branches);
  const std::int64_t L = batch * tokens, D = config.width;
  tally.hold(D * L);  // the states
  tally.copy(D * L);
  tally.add(D * L);
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    tally.norm(D * L);
    tally.hold(D * L);  // normed
    attention(tally, {D, config.heads, batch, tokens, tokens, true}, D);
    tally.drop(D * L);
    tally.add(D * L);
    clip_text_mlp(tally, config, L);
  }
  tally.norm(D * L);
  tally.pass(D * L);
  return tally.cost();
}

Cost vae_decode_cost(const VaeConfig& config, const MapBatch& latent, c10::ScalarType dtype,
                     const BranchLoad& branches, bool in_tiles) {
  Tally tally(dtype, branches, in_tiles);
  MapBatch map = latent;
  std::int64_t channels = config.channels.back();
  tally.hold(config.latent_channels * map.pixels());  // in the layout of maps
  if (config.has_post_quant_conv)
    conv(tally, same_size(map, config.latent_channels, config.latent_channels, 1));
  conv(tally, same_size(map, config.latent_channels, channels));
  vae_middle(tally, config, map);
  for (std::size_t i = config.channels.size(); i-- > 0;) {
    for (std::int64_t j = 0; j <= config.layers; ++j) {
      replace_by_resnet(tally, channels, config.channels[i], map);
      channels = config.channels[i];
    }
    if (i == 0) continue;
    const MapBatch before = map;
    map = {map.batch, 2 * map.height, 2 * map.width};
    upsampled(tally, channels, before, map);
  }
  tally.norm(channels * map.pixels());
  tally.activate(channels * map.pixels());
  tally.hold(channels * map.pixels());  // the norm; it takes its input's place
  tally.drop(channels * map.pixels());
  conv(tally, same_size(map, channels, 3));
  return tally.cost();
}

Cost vae_encode_cost(const VaeConfig& config, const MapBatch& image, c10::ScalarType dtype,
                     const BranchLoad& branches, bool in_tiles) {
  Tally tally(dtype, branches, in_tiles);
  MapBatch map = image;
  std::int64_t channels = config.channels.front();
  tally.hold(3 * map.pixels());  // in the layout of maps
  conv(tally, same_size(map, 3, channels));
  tally.drop(3 * map.pixels());
  for (std::size_t i = 0; i < config.channels.size(); ++i) {
    for (std::int64_t j = 0; j < config.layers; ++j) {
      replace_by_resnet(tally, channels, config.channels[i], map);
      channels = config.channels[i];
    }
    if (i + 1 == config.channels.size()) continue;
    const MapBatch before = map;
    map = {map.batch, map.height / 2, map.width / 2};
    downsampled(tally, channels, before, map, 0);
    tally.drop(channels * before.pixels());
  }
  vae_middle(tally, config, map);
  tally.norm(channels * map.pixels());
  tally.activate(channels * map.pixels());
  tally.hold(channels * map.pixels());
  conv(tally, same_size(map, channels, 2 * config.latent_channels));
  if (config.has_quant_conv)
    conv(tally, same_size(map, 2 * config.latent_channels, 2 * config.latent_channels, 1));
  return tally.cost();
}

}  // namespace emulsion::models

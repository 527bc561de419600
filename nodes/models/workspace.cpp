#include "models/workspace.h"

#include <algorithm>
#include <vector>

namespace emulsion::models {
namespace {

using Level = UnetConfig::Level;

constexpr Bytes kFloat = 4;
constexpr std::int64_t kSliceRows = 2048;  // of the feed-forward, see unet_blocks.cpp
// What is too small to follow: statistics of norms, the time embedding, rounding of allocations.
constexpr Bytes kSmall = 256 * kKiB;

// Follows a model through its code: what it holds, and the most that it has held.
class Tally {
 public:
  explicit Tally(c10::ScalarType dtype) : element_(static_cast<Bytes>(c10::elementSize(dtype))) {}

  void hold(std::int64_t elements) {
    held_ += elements * element_;
    pass(0);
  }
  void drop(std::int64_t elements) { held_ -= elements * element_; }
  // Holds `elements` for a moment.
  void pass(std::int64_t elements, Bytes more = 0) {
    peak_ = std::max(peak_, held_ + elements * element_ + more);
  }
  Bytes peak() const { return peak_ + kSmall; }

 private:
  Bytes element_, held_ = 0, peak_ = 0;
};

// Holds the result besides its input.  First the norm of the input and the first convolution;
// then two maps of the output: of a norm, of a convolution, or of the shortcut.
void resnet(Tally& tally, std::int64_t in, std::int64_t out, std::int64_t pixels) {
  const std::int64_t kernels = std::max(9 * in * out, 9 * out * out);
  tally.pass(std::max(in + out, 2 * out) * pixels + kernels);
  tally.hold(out * pixels);
}

// What attention() allocates besides its arguments: the result, and the logarithms of the sums.
void attend(Tally& tally, std::int64_t width, std::int64_t heads, std::int64_t tokens,
            std::int64_t keys) {
  tally.pass(width * (tokens + 2 * keys), heads * tokens * kFloat);
}

// The transformer's input is held by the caller, its result is added to what is held.
void transformer(Tally& tally, const Level& level, const MapBatch& map,
                 std::int64_t context_tokens) {
  const std::int64_t P = map.pixels(), C = level.channels, S = map.batch * context_tokens;
  tally.pass(2 * C * P);  // the norm, and proj_in of it
  tally.hold(C * P);      // the tokens
  const std::int64_t keys = level.only_cross_attention ? S : P;
  tally.hold((2 * P + 2 * keys) * C);  // normed, q, k, v
  attend(tally, C, level.heads, P, keys);
  tally.drop((2 * P + 2 * keys) * C);
  tally.pass(3 * C * P);            // normed, attended, projected
  tally.hold((2 * P + 2 * S) * C);  // the same, with keys of the text
  attend(tally, C, level.heads, P, S);
  tally.drop((2 * P + 2 * S) * C);
  tally.pass(14 * C * std::min(P, kSliceRows));  // norm, both halves, one gated, the result
  tally.pass(C * P);                             // proj_out
}

void conv(Tally& tally, std::int64_t in, std::int64_t out, std::int64_t pixels,
          std::int64_t kernel = 3) {
  tally.pass(out * pixels + in * out * kernel * kernel);
  tally.hold(out * pixels);
}

MapBatch half(const MapBatch& map) {
  return {map.batch, (map.height + 1) / 2, (map.width + 1) / 2};
}

// Walks a UNet as Unet::operator() does.
class UnetWalk {
 public:
  UnetWalk(const UnetConfig& config, std::int64_t context_tokens, c10::ScalarType dtype)
      : config_(config), context_tokens_(context_tokens), tally_(dtype) {}

  Bytes peak(const MapBatch& latent) {
    map_ = latent;
    channels_ = config_.down.front().channels;
    tally_.hold(config_.in_channels * map_.pixels());  // the sample in the layout of maps
    conv(tally_, config_.in_channels, channels_, map_.pixels(), config_.conv_in_kernel);
    skips_ = {{map_, channels_}};
    go_down();
    go_through_middle();
    go_up();
    tally_.pass(channels_ * map_.pixels());  // the norm
    tally_.pass((channels_ + config_.out_channels) * map_.pixels() +
                channels_ * config_.out_channels * config_.conv_out_kernel *
                    config_.conv_out_kernel);
    return tally_.peak();
  }

 private:
  struct Skip {
    MapBatch map;
    std::int64_t channels;
  };

  void unit(const Level& level, std::int64_t in, bool owns_input) {
    resnet(tally_, in, level.channels, map_.pixels());
    if (owns_input) tally_.drop(in * map_.pixels());
    channels_ = level.channels;
    if (level.transformer_layers == 0) return;
    transformer(tally_, level, map_, context_tokens_);
    tally_.drop(channels_ * map_.pixels());  // its input
  }

  void go_down() {
    for (std::size_t i = 0; i < config_.down.size(); ++i) {
      for (std::int64_t j = 0; j < config_.down[i].layers; ++j) {
        unit(config_.down[i], channels_, false);  // the input stays, as a skip
        skips_.push_back({map_, channels_});
      }
      if (i + 1 == config_.down.size()) continue;
      tally_.pass(2 * channels_ * map_.pixels());  // padded where the convolution does not pad
      map_ = half(map_);
      conv(tally_, channels_, channels_, map_.pixels());
      skips_.push_back({map_, channels_});
    }
  }

  void go_through_middle() {
    if (config_.middle.layers > 0) unit(config_.middle, channels_, false);
    if (config_.middle.layers < 2) return;
    resnet(tally_, channels_, channels_, map_.pixels());
    tally_.drop(channels_ * map_.pixels());
  }

  void go_up() {
    bool is_skip = config_.middle.layers == 0;  // the first x is then the last skip
    for (std::size_t i = 0; i < config_.up.size(); ++i) {
      for (std::int64_t j = 0; j < config_.up[i].layers; ++j) {
        const Skip skip = skips_.back();
        skips_.pop_back();
        const std::int64_t joined = channels_ + skip.channels;
        tally_.hold(joined * map_.pixels());
        tally_.drop((is_skip ? skip.channels : joined) * map_.pixels());
        is_skip = false;
        unit(config_.up[i], joined, true);
      }
      if (i + 1 == config_.up.size()) continue;
      const std::int64_t before = map_.pixels();
      map_ = skips_.back().map;
      tally_.hold(channels_ * map_.pixels());
      tally_.drop(channels_ * before);
      conv(tally_, channels_, channels_, map_.pixels());
      tally_.drop(channels_ * map_.pixels());
    }
  }

  const UnetConfig& config_;
  std::int64_t context_tokens_, channels_ = 0;
  Tally tally_;
  MapBatch map_;
  std::vector<Skip> skips_;
};

}  // namespace

Bytes clip_text_workspace(const ClipTextConfig& config, std::int64_t batch, std::int64_t tokens,
                          c10::ScalarType dtype) {
  Tally tally(dtype);
  const std::int64_t L = batch * tokens, D = config.width, F = config.feed_forward_width;
  tally.hold(D * L);      // the states
  tally.hold(4 * D * L);  // normed, q, k, v
  attend(tally, D, config.heads, L, L);
  tally.drop(4 * D * L);
  // Normed, and the hidden layer; quick_gelu makes two more of that; then the result.
  tally.pass((D + F) * L);
  tally.pass((3 * F + D) * L);
  return tally.peak();
}

Bytes unet_workspace(const UnetConfig& config, const MapBatch& latent, std::int64_t context_tokens,
                     c10::ScalarType dtype) {
  return UnetWalk(config, context_tokens, dtype).peak(latent);
}

Bytes vae_decode_workspace(const VaeConfig& config, const MapBatch& latent, c10::ScalarType dtype) {
  Tally tally(dtype);
  MapBatch map = latent;
  std::int64_t channels = config.channels.back();
  tally.hold(2 * config.latent_channels * map.pixels());  // in the layout of maps; post_quant_conv
  conv(tally, config.latent_channels, channels, map.pixels());
  resnet(tally, channels, channels, map.pixels());
  tally.drop(channels * map.pixels());
  if (config.middle_attention) {
    tally.hold(4 * channels * map.pixels());  // normed, q, k, v
    attend(tally, channels, 1, map.pixels(), map.pixels());
    tally.drop(4 * channels * map.pixels());
  }
  resnet(tally, channels, channels, map.pixels());
  tally.drop(channels * map.pixels());
  for (std::size_t i = config.channels.size(); i-- > 0;) {
    for (std::int64_t j = 0; j <= config.layers; ++j) {
      resnet(tally, channels, config.channels[i], map.pixels());
      tally.drop(channels * map.pixels());
      channels = config.channels[i];
    }
    if (i == 0) continue;
    const std::int64_t before = map.pixels();
    map = {map.batch, 2 * map.height, 2 * map.width};
    tally.hold(channels * map.pixels());
    tally.drop(channels * before);
    conv(tally, channels, channels, map.pixels());
    tally.drop(channels * map.pixels());
  }
  tally.pass(2 * channels * map.pixels());  // the norm, and before that its statistics
  tally.pass((channels + 3) * map.pixels() + 27 * channels);
  return tally.peak();
}

}  // namespace emulsion::models

#include "models/workspace.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "models/unet_blocks.h"

namespace emulsion::models {
namespace {

using Level = UnetConfig::Level;

constexpr Bytes kFloat = 4;
constexpr std::int64_t kSmallConvolution = 20480;  // elements of the input of one sample
// What is too small to follow: statistics of norms, the time embedding, rounding of allocations.
constexpr Bytes kSmall = 256 * kKiB;

// Follows a model through its code: what it holds, and the most that it has held.
class Tally {
 public:
  explicit Tally(c10::ScalarType dtype)
      : dtype_(dtype), element_(static_cast<Bytes>(c10::elementSize(dtype))) {}

  c10::ScalarType dtype() const { return dtype_; }

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
  c10::ScalarType dtype_;
  Bytes element_, held_ = 0, peak_ = 0;
};

// A convolution from a map of `in` channels and `from` pixels to one of `out` channels and `to`.
struct ConvStep {
  std::int64_t in, out, kernel, from, to, batch;

  // Of what conv2d() allocates, all but the result.
  std::int64_t scratch() const {
    const std::int64_t weights = in * out * kernel * kernel, input = in * from;
    // LibTorch unfolds the input of a convolution that is too small for its library.
    const bool is_small = batch == 1 && input <= kSmallConvolution;
    const std::int64_t unfolded = is_small ? in * kernel * kernel * to : 0;
    // The weights in the library's order; besides, the weights with channels last, or the map
    // turned around and back and both of these in the library's order.
    return unfolded + weights + (weights > input ? 2 * (input + out * to) : weights);
  }
  std::int64_t result() const { return out * to; }
};

ConvStep same_size(const MapBatch& map, std::int64_t in, std::int64_t out,
                   std::int64_t kernel = 3) {
  return {in, out, kernel, map.pixels(), map.pixels(), map.batch};
}

void conv(Tally& tally, const ConvStep& step) {
  tally.pass(step.result() + step.scratch());
  tally.hold(step.result());
}

// Holds the result besides its input.
void resnet(Tally& tally, std::int64_t in, std::int64_t out, const MapBatch& map) {
  tally.hold(in * map.pixels());  // norm1
  conv(tally, same_size(map, in, out));
  tally.drop(in * map.pixels());
  tally.hold(out * map.pixels());  // norm2, and conv1 that it is made from
  tally.drop(out * map.pixels());
  conv(tally, same_size(map, out, out));
  tally.drop(out * map.pixels());
  if (in == out) return;
  conv(tally, same_size(map, in, out, 1));
  tally.drop(out * map.pixels());
}

// An attention of B samples with L tokens, each of which looks at S.
struct AttentionStep {
  std::int64_t width, heads, B, L, S;
};

// Scores and their softmax, and a head's queries, keys and values; the keys again, turned.
void attend_in_tiles(Tally& tally, const AttentionStep& step) {
  const std::int64_t K = step.width / step.heads, rows = std::min(step.L, kAttentionRows);
  tally.pass(step.B * step.L * step.width + (2 * rows + 3 * K) * step.S + (step.L + rows) * K);
}

// Keys and values packed where they are not float32, the logarithms of the sums, and what each
// thread has, in blocks as ATen/native/cpu/FlashAttentionKernel.cpp cuts them.
void attend_fused(Tally& tally, const AttentionStep& step) {
  const std::int64_t packed = tally.dtype() == at::kFloat ? 0 : 2 * step.B * step.S * step.width;
  const std::int64_t q_block = step.L >= 768 ? 256 : step.L >= 192 ? 64 : 32;
  const std::int64_t thread =
      q_block * (2 * std::min<std::int64_t>(step.S, 512) + step.width / step.heads + 2);
  tally.pass(step.B * step.L * step.width + packed,
             (step.B * step.heads * step.L + thread * at::get_num_threads()) * kFloat);
}

// What attention() allocates besides its arguments.
void attend(Tally& tally, const AttentionStep& step) {
  if (tally.dtype() == at::kBFloat16) attend_in_tiles(tally, step);
  attend_fused(tally, step);
}

// The transformer's input is held by the caller, its result is added to what is held.
void transformer(Tally& tally, const Level& level, const MapBatch& map,
                 std::int64_t context_tokens) {
  const std::int64_t P = map.pixels(), C = level.channels, S = map.batch * context_tokens;
  tally.pass(2 * C * P);  // the norm, and proj_in of it
  tally.hold(C * P);      // the tokens
  const std::int64_t keys = level.only_cross_attention ? S : P;
  tally.hold((2 * P + 2 * keys) * C);  // normed, q, k, v
  attend(tally, {C, level.heads, map.batch, P / map.batch, keys / map.batch});
  tally.drop((2 * P + 2 * keys) * C);
  tally.pass(3 * C * P);            // normed, attended, projected
  tally.hold((2 * P + 2 * S) * C);  // the same, with keys of the text
  attend(tally, {C, level.heads, map.batch, P / map.batch, context_tokens});
  tally.drop((2 * P + 2 * S) * C);
  tally.pass(14 * C * std::min(P, kFeedForwardRows));  // norm, both halves, one gated, the result
  tally.pass(C * P);                                   // proj_out
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
    conv(tally_, same_size(map_, config_.in_channels, channels_, config_.conv_in_kernel));
    skips_ = {{map_, channels_}};
    go_down();
    go_through_middle();
    go_up();
    tally_.hold(channels_ * map_.pixels());  // the norm
    conv(tally_, same_size(map_, channels_, config_.out_channels, config_.conv_out_kernel));
    return tally_.peak();
  }

 private:
  struct Skip {
    MapBatch map;
    std::int64_t channels;
  };

  void unit(const Level& level, std::int64_t in, bool owns_input) {
    resnet(tally_, in, level.channels, map_);
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
      const std::int64_t before = map_.pixels();
      map_ = half(map_);
      conv(tally_, {channels_, channels_, 3, before, map_.pixels(), map_.batch});
      skips_.push_back({map_, channels_});
    }
  }

  void go_through_middle() {
    if (config_.middle.layers > 0) unit(config_.middle, channels_, false);
    if (config_.middle.layers < 2) return;
    resnet(tally_, channels_, channels_, map_);
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
      conv(tally_, same_size(map_, channels_, channels_));
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
  attend(tally, {D, config.heads, batch, tokens, tokens});
  tally.drop(4 * D * L);
  // Normed, and the hidden layer, of which quick_gelu makes another; then the result.
  tally.pass((D + (config.activation == Activation::QuickGelu ? 2 : 1) * F) * L);
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
  tally.hold(config.latent_channels * map.pixels());  // in the layout of maps
  if (config.has_post_quant_conv)
    conv(tally, same_size(map, config.latent_channels, config.latent_channels, 1));
  conv(tally, same_size(map, config.latent_channels, channels));
  resnet(tally, channels, channels, map);
  tally.drop(channels * map.pixels());
  if (config.middle_attention) {
    tally.hold(4 * channels * map.pixels());  // normed, q, k, v
    const std::int64_t positions = map.height * map.width;
    attend(tally, {channels, 1, map.batch, positions, positions});
    tally.drop(4 * channels * map.pixels());
  }
  resnet(tally, channels, channels, map);
  tally.drop(channels * map.pixels());
  for (std::size_t i = config.channels.size(); i-- > 0;) {
    for (std::int64_t j = 0; j <= config.layers; ++j) {
      resnet(tally, channels, config.channels[i], map);
      tally.drop(channels * map.pixels());
      channels = config.channels[i];
    }
    if (i == 0) continue;
    const std::int64_t before = map.pixels();
    map = {map.batch, 2 * map.height, 2 * map.width};
    tally.hold(channels * map.pixels());
    tally.drop(channels * before);
    conv(tally, same_size(map, channels, channels));
    tally.drop(channels * map.pixels());
  }
  tally.hold(channels * map.pixels());  // the norm
  conv(tally, same_size(map, channels, 3));
  return tally.peak();
}

}  // namespace emulsion::models

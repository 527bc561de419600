#include <vector>

#include "models/cost_tally.h"
#include "models/token_merging.h"
#include "models/unet_blocks.h"

namespace emulsion::models {
namespace {

using Level = UnetConfig::Level;

constexpr Bytes kFloat = 4;
constexpr Bytes kIndexes = 64;  // of each token that may be merged
constexpr std::size_t kAll = static_cast<std::size_t>(-1);

// The work of one transformer block: layer norms, attention to itself and to the text, and the
// feed-forward.  `own` tokens attend to themselves.
void count_block(Tally& tally, const Level& level, const MapBatch& map, std::int64_t context_tokens,
                 std::int64_t own) {
  const std::int64_t P = map.pixels(), C = level.channels, S = map.batch * context_tokens;
  for (int i = 0; i < 3; ++i) {
    tally.norm(C * P);
    tally.add(C * P);
  }
  for (const std::int64_t rows : {own, own, P, P}) tally.multiply(rows, C, C);  // queries, outputs
  for (int i = 0; i < 2; ++i) {                                                 // keys and values
    if (level.only_cross_attention)
      tally.multiply(S, level.context_width, C);
    else
      tally.multiply(own, C, C);
    tally.multiply(S, level.context_width, C);
  }
  tally.multiply(P, C, 8 * C);
  tally.activate(4 * C * P);
  tally.add(4 * C * P);
  tally.multiply(P, 4 * C, C);
}

// Follows MergedTokens: what it allocates, and the cosines.
void merge(Tally& tally, const Level& level, const MapBatch& map, double ratio) {
  const std::int64_t P = map.pixels(), C = level.channels;
  const MergedCount count(map.height, map.width, ratio);
  tally.multiply(map.batch * count.sources, C, count.targets);
  tally.touch(8 * C * P);
  const std::int64_t scores = map.batch * kMergingRows * count.targets;
  tally.pass(0, (2 * C * P + scores) * kFloat + P * kIndexes);
  tally.pass(5 * C * P, P * kIndexes);  // normed, apart, counted, and joined again
}

// The tokens are held by the caller.
void transformer_block(Tally& tally, const Level& level, const MapBatch& map,
                       std::int64_t context_tokens, double merge_ratio) {
  const std::int64_t P = map.pixels(), C = level.channels, S = map.batch * context_tokens;
  const std::int64_t own = map.batch * MergedCount(map.height, map.width, merge_ratio).left;
  const std::int64_t keys = level.only_cross_attention ? S : own;
  count_block(tally, level, map, context_tokens, own);
  std::int64_t held = (2 * own + 2 * keys) * C;  // normed, q, k, v
  if (merge_ratio > 0) {
    merge(tally, level, map, merge_ratio);
    held += P * kIndexes / static_cast<std::int64_t>(c10::elementSize(tally.dtype()));
  }
  tally.hold(held);
  attend(tally, {C, level.heads, map.batch, own / map.batch, keys / map.batch});
  tally.drop(held);
  tally.pass(3 * C * P);            // normed, attended, projected
  tally.hold((2 * P + 2 * S) * C);  // the same, with keys of the text
  attend(tally, {C, level.heads, map.batch, P / map.batch, context_tokens});
  tally.drop((2 * P + 2 * S) * C);
  tally.pass(14 * C * std::min(P, kFeedForwardRows));  // norm, both halves, one gated, the result
}

// The transformer's input is held by the caller, its result is added to what is held.
void transformer(Tally& tally, const Level& level, const MapBatch& map, std::int64_t context_tokens,
                 double merge_ratio) {
  const std::int64_t P = map.pixels(), C = level.channels;
  tally.norm(C * P);
  for (int i = 0; i < 2; ++i) tally.multiply(P, C, C);  // on the way in and out
  tally.pass(2 * C * P);                                // the norm, and proj_in of it
  tally.hold(C * P);                                    // the tokens
  for (std::int64_t i = 0; i < level.transformer_layers; ++i)
    transformer_block(tally, level, map, context_tokens, merge_ratio);
  tally.pass(C * P);  // proj_out
  tally.add(C * P);
}

MapBatch half(const MapBatch& map) {
  return {map.batch, (map.height + 1) / 2, (map.width + 1) / 2};
}

// Walks a UNet as Unet::operator() does.
class UnetWalk {
 public:
  UnetWalk(const UnetConfig& config, std::int64_t context_tokens, c10::ScalarType dtype,
           const BranchLoad& branches, const UnetShortcuts& shortcuts)
      : config_(config),
        context_tokens_(context_tokens),
        most_skips_(shortcuts.outside ? static_cast<std::size_t>(*shortcuts.outside) + 1 : kAll),
        merge_ratio_(shortcuts.merge_ratio),
        tally_(dtype, branches) {}

  Cost cost(const MapBatch& latent) {
    map_ = latent;
    find_merged(latent);
    channels_ = config_.down.front().channels;
    tally_.hold(config_.in_channels * map_.pixels());  // the sample in the layout of maps
    conv(tally_, same_size(map_, config_.in_channels, channels_, config_.conv_in_kernel));
    tally_.drop(config_.in_channels * map_.pixels());
    skips_ = {{map_, channels_}};
    go_down();
    if (most_skips_ == kAll) go_through_middle();
    go_up();
    tally_.norm(channels_ * map_.pixels());
    tally_.activate(channels_ * map_.pixels());
    tally_.hold(channels_ * map_.pixels());  // the norm; it takes its input's place
    tally_.drop(channels_ * map_.pixels());
    conv(tally_, same_size(map_, channels_, config_.out_channels, config_.conv_out_kernel));
    return tally_.cost();
  }

 private:
  struct Skip {
    MapBatch map;
    std::int64_t channels;
  };

  // True on the outermost maps that are attended to.
  bool merges() const { return map_.height == merged_.height && map_.width == merged_.width; }

  void find_merged(MapBatch map) {
    for (const Level& level : config_.down) {
      if (level.transformer_layers > 0) break;
      map = half(map);
    }
    merged_ = map;
  }

  void unit(const Level& level, std::int64_t in, bool owns_input) {
    resnet(tally_, in, level.channels, map_, true);
    if (owns_input) tally_.drop(in * map_.pixels());
    channels_ = level.channels;
    if (level.transformer_layers == 0) return;
    transformer(tally_, level, map_, context_tokens_, merges() ? merge_ratio_ : 0);
    tally_.drop(channels_ * map_.pixels());  // its input
  }

  void go_down() {
    for (std::size_t i = 0; i < config_.down.size(); ++i) {
      for (std::int64_t j = 0; j < config_.down[i].layers; ++j) {
        if (skips_.size() == most_skips_) return;
        unit(config_.down[i], channels_, false);  // the input stays, as a skip
        skips_.push_back({map_, channels_});
      }
      if (i + 1 == config_.down.size()) continue;
      if (skips_.size() == most_skips_) return;
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
    resnet(tally_, channels_, channels_, map_, true);
    tally_.drop(channels_ * map_.pixels());
  }

  void go_up() {
    // The first x is then the last skip, or given from outside: it is not dropped.
    bool is_others = config_.middle.layers == 0 || most_skips_ != kAll, begun = false;
    std::size_t left = 0;
    for (const Level& level : config_.up) left += static_cast<std::size_t>(level.layers);
    for (std::size_t i = 0; i < config_.up.size(); ++i) {
      for (std::int64_t j = 0; j < config_.up[i].layers; ++j) {
        if (left-- > skips_.size()) {
          channels_ = config_.up[i].channels;
          continue;
        }
        begun = true;
        const Skip skip = skips_.back();
        skips_.pop_back();
        const std::int64_t joined = channels_ + skip.channels;
        tally_.copy(joined * map_.pixels());
        tally_.hold(joined * map_.pixels());
        tally_.drop((is_others ? skip.channels : joined) * map_.pixels());
        is_others = false;
        unit(config_.up[i], joined, true);
      }
      if (i + 1 == config_.up.size() || !begun) continue;
      const std::int64_t before = map_.pixels();
      map_ = skips_.back().map;
      tally_.touch(channels_ * (before + map_.pixels()));
      tally_.hold(channels_ * map_.pixels());
      tally_.drop(channels_ * before);
      conv(tally_, same_size(map_, channels_, channels_));
      tally_.drop(channels_ * map_.pixels());
    }
  }

  const UnetConfig& config_;
  std::int64_t context_tokens_, channels_ = 0;
  std::size_t most_skips_;
  double merge_ratio_;
  Tally tally_;
  MapBatch map_, merged_;
  std::vector<Skip> skips_;
};

}  // namespace

Cost unet_cost(const UnetConfig& config, const MapBatch& latent, std::int64_t context_tokens,
               c10::ScalarType dtype, const BranchLoad& branches, const UnetShortcuts& shortcuts) {
  return UnetWalk(config, context_tokens, dtype, branches, shortcuts).cost(latent);
}

}  // namespace emulsion::models

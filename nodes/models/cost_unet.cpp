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

// So many tokens of width C through a feed-forward and the norm before it.
void feed_forward(Tally& tally, std::int64_t C, std::int64_t tokens) {
  tally.norm(C * tokens);
  tally.hold(C * tokens);  // normed
  tally.multiply_gated(tokens, C, 4 * C);
  tally.multiply(tokens, 4 * C, C);
  tally.pass(C * tokens);
  tally.drop(5 * C * tokens);
  tally.add(C * tokens);
}

// Follows MergedTokens: what it allocates, and the cosines.
void merge(Tally& tally, const Level& level, const MapBatch& map, double ratio) {
  const std::int64_t P = map.pixels(), C = level.channels;
  const MergedCount count(map.height, map.width, ratio);
  tally.attend(static_cast<double>(map.batch * count.sources * C * count.targets));
  tally.touch(8 * C * P);
  const std::int64_t scores = map.batch * kMergingRows * count.targets;
  tally.pass(0, (2 * C * P + scores) * kFloat + P * kIndexes);
  tally.pass(5 * C * P, P * kIndexes);  // normed, apart, counted, and joined again
}

// What is attended to besides the map.
struct Text {
  std::int64_t tokens;
  bool is_kept;
};

// The first attention of a block, of tokens that may be merged.
void attend_to_itself(Tally& tally, const Level& level, const MapBatch& map, const Text& text,
                      double merge_ratio) {
  const std::int64_t P = map.pixels(), C = level.channels;
  const std::int64_t own = MergedCount(map.height, map.width, merge_ratio).left;
  const bool to_text = level.only_cross_attention;
  std::int64_t held = C * map.batch * own;  // normed
  tally.norm(C * P);
  if (merge_ratio > 0) {
    merge(tally, level, map, merge_ratio);
    held += P * kIndexes / static_cast<std::int64_t>(c10::elementSize(tally.dtype()));
  }
  tally.hold(held);
  AttentionStep step{C, level.heads, map.batch, own, own};
  if (to_text) {
    step.S = text.tokens;
    step.is_kept = text.is_kept;
  }
  attention(tally, step, to_text ? level.context_width : C);
  tally.drop(held);
  tally.add(C * P);
}

// The tokens are held by the caller.
void transformer_block(Tally& tally, const Level& level, const MapBatch& map, const Text& text,
                       double merge_ratio) {
  const std::int64_t P = map.pixels(), C = level.channels, L = P / map.batch;
  attend_to_itself(tally, level, map, text, merge_ratio);
  tally.norm(C * P);
  tally.hold(C * P);  // normed
  // Queries, keys, and values before and after they are spread over samples.
  tally.pass(C * (P + 3 * map.batch * text.tokens));
  attention(tally,
            {.width = C,
             .heads = level.heads,
             .B = map.batch,
             .L = L,
             .S = text.tokens,
             .is_kept = text.is_kept},
            level.context_width);
  tally.drop(C * P);
  tally.add(C * P);
  for (std::int64_t begin = 0; begin < P; begin += kFeedForwardRows)
    feed_forward(tally, C, std::min(kFeedForwardRows, P - begin));
}

// The transformer's input is held by the caller, its result is added to what is held.
void transformer(Tally& tally, const Level& level, const MapBatch& map, const Text& text,
                 double merge_ratio) {
  const std::int64_t P = map.pixels(), C = level.channels;
  tally.norm(C * P);
  tally.hold(C * P);  // normed
  tally.multiply(P, C, C);
  tally.hold(C * P);  // the tokens
  tally.drop(C * P);
  for (std::int64_t i = 0; i < level.transformer_layers; ++i)
    transformer_block(tally, level, map, text, merge_ratio);
  tally.multiply(P, C, C);
  tally.hold(C * P);
  tally.drop(C * P);
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
        text_{context_tokens, shortcuts.keeps_text},
        most_skips_(shortcuts.outside ? static_cast<std::size_t>(*shortcuts.outside) + 1 : kAll),
        merge_ratio_(shortcuts.merge_ratio),
        tally_(dtype, branches) {}

  Cost cost(const MapBatch& latent) {
    map_ = latent;
    find_merged(latent);
    channels_ = config_.down.front().channels;
    embed();
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

  void embed() {
    const std::int64_t E = config_.time_width;
    tally_.multiply(1, channels_, E);
    if (config_.added_width > 0) tally_.multiply(1, config_.added_width, E);
    tally_.multiply(1, E, E);
  }

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
    resnet(tally_, in, level.channels, map_, config_.time_width);
    if (owns_input) tally_.drop(in * map_.pixels());
    channels_ = level.channels;
    if (level.transformer_layers == 0) return;
    transformer(tally_, level, map_, text_, merges() ? merge_ratio_ : 0);
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
      const MapBatch before = map_;
      map_ = half(map_);
      downsampled(tally_, channels_, before, map_, config_.downsample_padding);
      skips_.push_back({map_, channels_});
    }
  }

  void go_through_middle() {
    if (config_.middle.layers > 0) unit(config_.middle, channels_, false);
    if (config_.middle.layers < 2) return;
    resnet(tally_, channels_, channels_, map_, config_.time_width);
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
      const MapBatch before = map_;
      map_ = skips_.back().map;
      upsampled(tally_, channels_, before, map_);
    }
  }

  const UnetConfig& config_;
  Text text_;
  std::int64_t channels_ = 0;
  std::size_t most_skips_;
  double merge_ratio_;
  Tally tally_;
  MapBatch map_, merged_;
  std::vector<Skip> skips_;
};

// Transformer blocks of a level's units.
void text_products(Tally& tally, const Level& level, std::int64_t units, std::int64_t rows) {
  const int attentions = level.only_cross_attention ? 2 : 1;
  for (std::int64_t i = 0; i < units * level.transformer_layers * attentions; ++i)
    for (int j = 0; j < 2; ++j) {
      tally.multiply(rows, level.context_width, level.channels);
      tally.hold(rows * level.channels);
    }
}

}  // namespace

TextCost unet_text_cost(const UnetConfig& config, std::int64_t rows, c10::ScalarType dtype,
                        const BranchLoad& branches) {
  Tally tally(dtype, branches);
  for (const Level& level : config.down) text_products(tally, level, level.layers, rows);
  text_products(tally, config.middle, std::min<std::int64_t>(config.middle.layers, 1), rows);
  for (const Level& level : config.up) text_products(tally, level, level.layers, rows);
  return {tally.held(), tally.cost().work};
}

Cost unet_cost(const UnetConfig& config, const MapBatch& latent, std::int64_t context_tokens,
               c10::ScalarType dtype, const BranchLoad& branches, const UnetShortcuts& shortcuts) {
  return UnetWalk(config, context_tokens, dtype, branches, shortcuts).cost(latent);
}

}  // namespace emulsion::models

#pragma once

#include <optional>
#include <vector>

#include "models/attention.h"
#include "models/layers.h"
#include "models/streamed.h"
#include "models/token_merging.h"

namespace emulsion::models {

// The feed-forward needs 14 D for each row at once, so that it would decide the UNet's peak; in
// slices of so many rows it does not, and what it writes stays in the cache.
inline constexpr std::int64_t kFeedForwardRows = 2048;

// Linear layer to eight times the width, one half gated by gelu of the other (Shazeer 2020, "GLU
// variants improve transformer"), and back.
struct FeedForward {
  Linear proj, out;

  FeedForward(const WeightView& w, std::int64_t width);
  void add_to_(at::Tensor& y, const at::Tensor& x) const;  // x [L, D] -> onto y, as large

 private:
  at::Tensor gated(const at::Tensor& x) const;
};

struct TransformerBlock {
  LayerNorm norm1, norm2, norm3;
  Attention attn1, attn2;
  FeedForward ff;
  bool only_cross_attention;  // attn1 attends to the text, too

  TransformerBlock(const WeightView& w, const UnetConfig::Level& level);
  // x [B, L, D] in place and contiguous; attn1 works on merged tokens if `merging` is not null
  void apply_(at::Tensor& x, const Attended& context, const TokenMerging* merging) const;
};

// What every unit of a UNet is given besides its feature map.
struct UnetInputs {
  at::Tensor time;   // [1 or B, E], activated
  Attended context;  // of context_width
  const Checkpoint& checkpoint;
  TokenMerging merging = {};
};

// One of a spatial transformer's blocks; the first has the way in before it, the last the way out.
struct TransformerStage {
  std::optional<GroupNorm> norm;
  std::optional<Linear> proj_in, proj_out;
  TransformerBlock block;

  TransformerStage(const WeightView& w, const UnetConfig::Level& level, const NormConfig& norm,
                   std::int64_t position);
  // map [B, C, H, W]; tokens [B, H*W, C], undefined for the first -> [B, H*W, C]
  at::Tensor operator()(const at::Tensor& map, at::Tensor tokens, const UnetInputs& inputs) const;
};

// Transformer blocks over the positions of a feature map, around which its input is added.
struct SpatialTransformer {
  std::vector<Streamed<TransformerStage>> stages;

  SpatialTransformer(const WeightView& w, const UnetConfig::Level& level, const NormConfig& norm);
  at::Tensor operator()(const at::Tensor& x, const UnetInputs& inputs) const;
};

// A residual block with the transformer behind it, if there is one.
struct UnetUnit {
  Streamed<ResnetBlock> resnet;
  std::optional<SpatialTransformer> attention;

  UnetUnit(const WeightView& block, std::int64_t position, const ResnetBlock::Shape& shape,
           const UnetConfig::Level& level, const NormConfig& norm);
  // Takes x over, so that it is gone before the transformer begins.
  at::Tensor operator()(at::Tensor x, const UnetInputs& inputs) const;
};

}  // namespace emulsion::models

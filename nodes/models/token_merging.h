#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

// Token merging in self-attention (Bolya & Hoffman 2023, arXiv 2303.17604).
namespace emulsion::models {

// On maps of this size; ratio 0: nowhere.
struct TokenMerging {
  double ratio = 0;  // of the tokens that are merged into others, 0 to 0.75
  std::uint64_t seed = 0;
  std::int64_t height = 0, width = 0;

  bool on(const at::Tensor& map) const {  // [B, C, H, W]
    return ratio > 0 && map.size(2) == height && map.size(3) == width;
  }
};

// Similarities are computed for so many tokens at once.
inline constexpr std::int64_t kMergingRows = 256;

// Tokens that may be merged, those that they are merged into, and those that are left after it.
struct MergedCount {
  std::int64_t sources, targets, left;

  MergedCount(std::int64_t height, std::int64_t width, double ratio);
};

// Who is merged into whom.  One token of each square of 2x2, drawn by the seed, is a target.  The
// others are merged into the target that they are the most like, the most alike first; merged ones
// become the mean of their group.
class MergedTokens {
 public:
  // tokens [B, H*W, D], of a map of the merging's size
  MergedTokens(const at::Tensor& tokens, const TokenMerging& merging);

  at::Tensor merged(const at::Tensor& tokens) const;    // [B, H*W, D] -> [B, left, D]
  at::Tensor restored(const at::Tensor& tokens) const;  // [B, left, D] -> [B, H*W, D]

 private:
  at::Tensor targets_;         // [targets], positions
  at::Tensor kept_, leaving_;  // [B, ...], positions of what is left alone, and of what is merged
  at::Tensor into_;            // [B, ...], to which target each of the latter goes
  at::Tensor rows_;            // [B, H*W], where each position is among the merged tokens
};

}  // namespace emulsion::models

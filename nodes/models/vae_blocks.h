#pragma once

#include <optional>

#include "models/attention.h"
#include "models/layers.h"
#include "models/streamed.h"

namespace emulsion::models {

// Attention over all positions of a feature map, with one head.
struct MapAttention {
  GroupNorm group_norm;
  Attention attention;

  MapAttention(const WeightView& w, std::int64_t channels, const NormConfig& norm);
  // x [B, C, H, W] -> the same shape
  at::Tensor operator()(const at::Tensor& x, NormStatistics* statistics) const;
};

// The innermost part of an autoencoder's encoder and of its decoder.
struct VaeMiddle {
  Streamed<ResnetBlock> first;
  std::optional<Streamed<MapAttention>> attention;
  Streamed<ResnetBlock> last;

  VaeMiddle(const WeightView& w, const VaeConfig& config);
  // x [B, C, H, W], taken over -> the same shape
  at::Tensor operator()(at::Tensor x, NormStatistics* statistics) const;
};

// The norm before the last convolution.
NormConfig vae_output_norm(const VaeConfig& config);

}  // namespace emulsion::models

#pragma once

#include <optional>
#include <vector>

#include "models/attention.h"
#include "models/layers.h"

namespace emulsion::models {

// Attention over all positions of a feature map, with one head.
struct MapAttention {
  GroupNorm group_norm;
  Attention attention;

  MapAttention(const WeightView& w, std::int64_t channels, const NormConfig& norm);
  at::Tensor operator()(const at::Tensor& x) const;  // x [B, C, H, W] -> the same shape
};

// The decoder of an autoencoder for latent diffusion (Rombach et al. 2022, appendix G).
struct VaeDecoder {
  struct UpBlock {
    std::vector<ResnetBlock> resnets;
    std::optional<Conv2d> upsampler;  // all but the outermost level
  };

  std::optional<Conv2d> post_quant_conv;
  Conv2d conv_in;
  std::vector<ResnetBlock> middle;  // two
  std::optional<MapAttention> middle_attention;
  std::vector<UpBlock> up;
  GroupNorm norm_out;
  Conv2d conv_out;

  // Takes the decoder's tensors of an autoencoder's file; the encoder's are left alone.
  VaeDecoder(const WeightView& w, const VaeConfig& config);
  // latent [B, c, h, w], scaled as the encoder gave it -> [B, 3, H, W] about -1..1
  at::Tensor operator()(const at::Tensor& latent, const Checkpoint& checkpoint) const;
};

}  // namespace emulsion::models

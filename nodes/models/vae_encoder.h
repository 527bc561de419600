#pragma once

#include <optional>
#include <vector>

#include "models/vae_blocks.h"

namespace emulsion::models {

// The distribution of the latents of a picture: a Gaussian for each value.
struct LatentDistribution {
  at::Tensor mean, deviation;  // [B, c, h, w]
};

// The encoder of an autoencoder for latent diffusion (Rombach et al. 2022, appendix G).
struct VaeEncoder {
  struct DownBlock {
    std::vector<Streamed<ResnetBlock>> resnets;
    std::optional<Streamed<Conv2d>> downsampler;  // all but the innermost level
  };

  Conv2d conv_in;
  std::vector<DownBlock> down;
  VaeMiddle middle;
  GroupNorm norm_out;
  Conv2d conv_out;
  std::optional<Conv2d> quant_conv;

  // Takes the encoder's tensors of an autoencoder's file; the decoder's are left alone.
  VaeEncoder(const WeightView& w, const VaeConfig& config);
  // image [B, 3, H, W] in -1..1, H and W multiples of the config's upscale() -> not scaled yet
  LatentDistribution operator()(const at::Tensor& image, const Checkpoint& checkpoint,
                                NormStatistics* statistics = nullptr) const;
};

}  // namespace emulsion::models

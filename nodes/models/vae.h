#pragma once

#include <optional>
#include <vector>

#include "models/vae_blocks.h"

namespace emulsion::models {

// The decoder of an autoencoder for latent diffusion (Rombach et al. 2022, appendix G).
struct VaeDecoder {
  struct UpBlock {
    std::vector<Streamed<ResnetBlock>> resnets;
    std::optional<Streamed<Conv2d>> upsampler;  // all but the outermost level
  };

  std::optional<Conv2d> post_quant_conv;
  Conv2d conv_in;
  VaeMiddle middle;
  std::vector<UpBlock> up;
  GroupNorm norm_out;
  Conv2d conv_out;

  // Takes the decoder's tensors of an autoencoder's file; the encoder's are left alone.
  VaeDecoder(const WeightView& w, const VaeConfig& config);
  // latent [B, c, h, w], scaled as the encoder gave it -> [B, 3, H, W] about -1..1
  at::Tensor operator()(const at::Tensor& latent, const Checkpoint& checkpoint,
                        NormStatistics* statistics = nullptr) const;
};

}  // namespace emulsion::models

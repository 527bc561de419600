#pragma once

#include <optional>
#include <vector>

#include "models/time_embedding.h"
#include "models/unet_blocks.h"

namespace emulsion::models {

// The UNet of latent diffusion (Rombach et al. 2022), diffusers' UNet2DConditionModel.
struct Unet {
  struct DownBlock {
    std::vector<UnetUnit> units;
    std::optional<Streamed<Conv2d>> downsampler;  // all but the innermost level
  };
  struct UpBlock {
    std::vector<UnetUnit> units;
    std::optional<Streamed<Conv2d>> upsampler;  // all but the outermost level
  };

  Conv2d conv_in;
  TimeEmbedding time_embedding;
  std::vector<DownBlock> down;
  std::vector<UnetUnit> middle;  // none or one, with the attention between the two
  std::optional<Streamed<ResnetBlock>> middle_end;
  std::vector<UpBlock> up;
  GroupNorm norm_out;
  Conv2d conv_out;

  Unet(const WeightView& w, const UnetConfig& config);
  // What the model predicts: noise, velocity or sample.
  // sample [B, C, h, w], context [B, S, D], both in the dtype of the weights -> [B, C, h, w]
  at::Tensor operator()(const at::Tensor& sample, double timestep, const at::Tensor& context,
                        const Checkpoint& checkpoint) const;
};

}  // namespace emulsion::models

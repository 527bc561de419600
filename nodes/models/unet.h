#pragma once

#include <optional>
#include <vector>

#include "models/deep_features.h"
#include "models/time_embedding.h"
#include "models/unet_blocks.h"

namespace emulsion::models {

// What a UNet is told of the picture, in the dtype of the weights but for the ids.
struct UnetCondition {
  Attended context;             // [1 to B, S, D], see there
  at::Tensor pooled, time_ids;  // of SDXL: [1 or B, P] and [1 or B, n]

  UnetCondition(at::Tensor states, at::Tensor pooled_state = {}, at::Tensor ids = {})
      : context(std::move(states)), pooled(std::move(pooled_state)), time_ids(std::move(ids)) {}
};

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
  std::optional<AddedEmbedding> add_embedding;  // SDXL
  std::vector<DownBlock> down;
  std::vector<UnetUnit> middle;  // none or one, with the attention between the two
  std::optional<Streamed<ResnetBlock>> middle_end;
  std::vector<UpBlock> up;
  GroupNorm norm_out;
  Conv2d conv_out;

  Unet(const WeightView& w, const UnetConfig& config);
  // What the model predicts: noise, velocity or sample.
  // sample [B, C, h, w] in the dtype of the weights -> [B, C, h, w]
  // With `deep`, its map is taken and what lies inside of it is left out; where it has none, it is
  // given that of this evaluation.  The outermost self-attention merges tokens as `merging` says;
  // its size is set here.
  at::Tensor operator()(const at::Tensor& sample, double timestep, const UnetCondition& condition,
                        const Checkpoint& checkpoint, DeepFeatures* deep = nullptr,
                        TokenMerging merging = {}) const;

 private:
  // The skip connections, outermost first: all of them, or the first `most`.
  std::vector<at::Tensor> way_down(const at::Tensor& sample, const UnetInputs& inputs,
                                   std::size_t most) const;
  void set_size(TokenMerging& merging, const at::Tensor& sample) const;
  at::Tensor through_middle(at::Tensor x, const UnetInputs& inputs) const;
  // x is what meets the last of `skips`.
  at::Tensor way_up(at::Tensor x, std::vector<at::Tensor> skips, const UnetInputs& inputs,
                    DeepFeatures* deep) const;
  // [1 or B, E], activated: every residual block begins with that
  at::Tensor embedded(double timestep, const UnetCondition& condition) const;

  Activation activation_;
};

}  // namespace emulsion::models

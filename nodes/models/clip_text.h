#pragma once

#include <vector>

#include "models/attention.h"
#include "models/layers.h"
#include "models/streamed.h"

namespace emulsion::models {

// The text half of CLIP (Radford et al. 2021): a causal transformer.
struct ClipTextLayer {
  LayerNorm layer_norm1, layer_norm2;
  Attention self_attn;
  Linear fc1, fc2;
  Activation activation;

  ClipTextLayer(const WeightView& w, const ClipTextConfig& config);
  void apply_(at::Tensor& x) const;  // x [B, L, D], in place
};

struct ClipTextEmbeddings {
  at::Tensor token_embedding, position_embedding;

  ClipTextEmbeddings(const WeightView& w, const ClipTextConfig& config);
  at::Tensor operator()(const at::Tensor& ids) const;  // [B, L] -> [B, L, D]
};

struct ClipText {
  Streamed<ClipTextEmbeddings> embeddings;
  std::vector<Streamed<ClipTextLayer>> layers;
  LayerNorm final_layer_norm;

  // Takes names with and without the prefix `text_model.`; leaves out what only pooled states need.
  ClipText(const WeightView& w, const ClipTextConfig& config);
  // ids [B, L] int64, each below the size of the vocabulary -> [B, L, D]
  at::Tensor operator()(const at::Tensor& ids) const;
};

}  // namespace emulsion::models

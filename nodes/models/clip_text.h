#pragma once

#include <optional>
#include <span>
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

// Vectors that stand for tokens, see embeddings.h.
struct TokenVectors {
  at::Tensor places;   // [n] int64, counted through [B, L]; undefined where there are none
  at::Tensor vectors;  // [n, D]
};

struct ClipTextEmbeddings {
  at::Tensor token_embedding, position_embedding;

  ClipTextEmbeddings(const WeightView& w, const ClipTextConfig& config);
  at::Tensor operator()(const at::Tensor& ids, const TokenVectors& others) const;  // -> [B, L, D]
};

// Which states are wanted: those behind the last layer but `skipped`, normed or not.
struct ClipTextChoice {
  std::int64_t skipped = 0;  // below the number of layers
  bool normed = true;
};

struct ClipTextStates {
  at::Tensor hidden;  // [B, L, D] of the choice
  at::Tensor last;    // [B, L, D] of the last layer, normed; undefined without a projection
};

struct ClipText {
  ClipTextChoice choice;
  Streamed<ClipTextEmbeddings> embeddings;
  std::vector<Streamed<ClipTextLayer>> layers;  // as many as are needed
  std::optional<LayerNorm> final_layer_norm;    // where it is needed
  std::optional<Linear> text_projection;        // where the config has one

  // Takes names with and without the prefix `text_model.`.
  ClipText(const WeightView& w, const ClipTextConfig& config, const ClipTextChoice& wanted = {});
  // ids [B, L] int64, each below the size of the vocabulary
  ClipTextStates operator()(const at::Tensor& ids, const TokenVectors& others = {}) const;
};

// Where the state is that stands for a whole prompt, ids [L].  Configs of the first CLIP give 2 for
// the end, which is no token of theirs: there it is the largest id.  [any thread]
std::int64_t end_position(std::span<const std::int64_t> ids, std::int64_t end_token);

}  // namespace emulsion::models

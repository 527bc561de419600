#include "models/clip_text.h"

#include "models/ops.h"

namespace emulsion::models {
namespace {

constexpr Attention::Names kNames = {"q_proj", "k_proj", "v_proj", "out_proj"};

// transformers 5 writes the text model of SD 1 and 2 without the prefix, everyone else with it.
WeightView text_model(const WeightView& w) {
  const char* probe = "text_model.embeddings.token_embedding.weight";
  const bool bare = w.contains("embeddings.token_embedding.weight") && !w.contains(probe);
  return bare ? w : w.scope("text_model");
}

}  // namespace

ClipTextLayer::ClipTextLayer(const WeightView& w, const ClipTextConfig& config)
    : layer_norm1(w.scope("layer_norm1"), config.width, config.norm_eps),
      layer_norm2(w.scope("layer_norm2"), config.width, config.norm_eps),
      self_attn(w.scope("self_attn"), kNames,
                {.width = config.width,
                 .context_width = config.width,
                 .heads = config.heads,
                 .input_bias = true}),
      fc1(w.scope("mlp").scope("fc1"), config.width, config.feed_forward_width),
      fc2(w.scope("mlp").scope("fc2"), config.feed_forward_width, config.width),
      activation(config.activation) {}

void ClipTextLayer::apply_(at::Tensor& x) const {
  {
    const at::Tensor normed = layer_norm1(x);
    x.add_(self_attn(normed, normed, Mask::Causal));
  }
  at::Tensor hidden = fc1(layer_norm2(x));  // [B, L, F]
  activate_(hidden, activation);
  x.add_(fc2(hidden));
}

ClipTextEmbeddings::ClipTextEmbeddings(const WeightView& w, const ClipTextConfig& config)
    : token_embedding(w.tensor("token_embedding.weight", {config.vocabulary, config.width})),
      position_embedding(w.tensor("position_embedding.weight", {config.max_tokens, config.width})) {
}

at::Tensor ClipTextEmbeddings::operator()(const at::Tensor& ids, const TokenVectors& others) const {
  const at::Tensor x = at::embedding(token_embedding, ids);  // [B, L, D]
  if (others.places.defined())
    x.view({-1, x.size(2)}).index_copy_(0, others.places, others.vectors.to(x.scalar_type()));
  return x.add_(position_embedding.narrow(0, 0, ids.size(1)));  // [L, D] to each of B
}

ClipText::ClipText(const WeightView& w, const ClipTextConfig& config, const ClipTextChoice& wanted)
    : choice(wanted), embeddings(text_model(w).scope("embeddings"), config) {
  const bool pools = config.projection > 0;
  const WeightView list = text_model(w).scope("encoder").scope("layers");
  for (std::int64_t i = 0; i < config.layers; ++i) {
    const std::string name = std::to_string(i);
    if (pools || i < config.layers - choice.skipped)
      layers.emplace_back(list.scope(name), config);
    else
      list.ignore_scope(name);
  }
  if (pools || choice.normed)
    final_layer_norm.emplace(text_model(w).scope("final_layer_norm"), config.width,
                             config.norm_eps);
  else
    text_model(w).ignore_scope("final_layer_norm");
  if (pools)
    text_projection.emplace(w.scope("text_projection"), config.width, config.projection, false);
  else
    w.ignore_scope("text_projection");
  w.ignore({"embeddings.position_ids"});
}

ClipTextStates ClipText::operator()(const at::Tensor& ids, const TokenVectors& others) const {
  const std::size_t last = layers.size();
  // Without a projection, the layers end where the choice does.
  const std::size_t chosen =
      text_projection ? last - static_cast<std::size_t>(choice.skipped) : last;
  ClipTextStates states;
  at::Tensor x = embeddings()(ids, others);  // [B, L, D]
  for (std::size_t i = 0; i < last; ++i) {
    layers[i]().apply_(x);
    if (i + 1 == chosen && chosen < last)
      states.hidden = choice.normed ? (*final_layer_norm)(x) : x.clone();
  }
  if (text_projection) states.last = (*final_layer_norm)(x);
  if (chosen < last) return states;
  if (!choice.normed)
    states.hidden = x;
  else
    states.hidden = states.last.defined() ? states.last : (*final_layer_norm)(x);
  return states;
}

std::int64_t end_position(std::span<const std::int64_t> ids, std::int64_t end_token) {
  constexpr std::int64_t kLargest = 2;
  const auto found =
      end_token == kLargest ? std::ranges::max_element(ids) : std::ranges::find(ids, end_token);
  return found == ids.end() ? 0 : found - ids.begin();
}

}  // namespace emulsion::models

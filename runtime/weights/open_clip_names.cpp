#include <algorithm>
#include <array>

#include "emulsion/str.h"
#include "weights/tensor_names.h"

namespace emulsion {
namespace {

const Swaps& ends() {
  static const Swaps swaps = {
      {"token_embedding", "text_model.embeddings.token_embedding"},
      {"positional_embedding", "text_model.embeddings.position_embedding.weight"},
      {"ln_final", "text_model.final_layer_norm"}};
  return swaps;
}

const Swaps& block_parts() {
  static const Swaps swaps = {{"ln_1", "layer_norm1"},
                              {"ln_2", "layer_norm2"},
                              {"mlp.c_fc", "mlp.fc1"},
                              {"mlp.c_proj", "mlp.fc2"},
                              {"attn.out_proj", "self_attn.out_proj"}};
  return swaps;
}

struct BlockName {
  int block = -1;  // below 0: of no block
  std::string_view rest;
};

BlockName taken_apart(std::string_view name) {
  constexpr std::string_view kBlocks = "transformer.resblocks.";
  if (!name.starts_with(kBlocks)) return {};
  const auto [block, rest] = split_at_dot(name.substr(kBlocks.size()));
  return {index_of(block), rest};
}

// The query, key and value projections are one tensor in the file, in this order.
constexpr std::array<const char*, 3> kParts = {"q_proj", "k_proj", "v_proj"};

bool add_stacked(const std::string& name, const BlockName& found, const std::string& scope,
                 Renaming& renaming) {
  const bool weight = found.rest == "attn.in_proj_weight";
  if (!weight && found.rest != "attn.in_proj_bias") return false;
  for (int part = 0; part < 3; ++part)
    renaming.tensors.push_back({str(scope, ".self_attn.", kParts[static_cast<std::size_t>(part)],
                                    weight ? ".weight" : ".bias"),
                                name, part, 3});
  return true;
}

bool add(const std::string& name, Renaming& renaming) {
  if (name == "text_projection") {
    renaming.tensors.push_back({"text_projection.weight", name, 0, 1, /*transposed=*/true});
    return true;
  }
  if (std::string swap = swapped(name, ends()); !swap.empty()) {
    renaming.tensors.push_back({std::move(swap), name});
    return true;
  }
  const BlockName found = taken_apart(name);
  if (found.block < 0) return false;
  const std::string scope = str("text_model.encoder.layers.", found.block);
  if (add_stacked(name, found, scope, renaming)) return true;
  const std::string part = swapped(found.rest, block_parts());
  if (part.empty()) return false;
  renaming.tensors.push_back({str(scope, ".", part), name});
  return true;
}

// Programs that wrote a file from a folder left out what the penultimate state does without: the
// last block, and with it the projection.
bool is_whole(const TensorNames& names, int last) {
  constexpr int kLastOfH = 23;
  return last == kLastOfH || std::ranges::find(names, "text_projection") != names.end();
}

Renaming renamed(const TensorNames& names, bool penultimate) {
  int last = -1;
  for (const std::string& name : names) last = std::max(last, taken_apart(name).block);
  penultimate = penultimate && is_whole(names, last);
  Renaming renaming;
  for (const std::string& name : names) {
    const bool left_out = penultimate && (name == "text_projection" ||
                                          (last >= 0 && taken_apart(name).block == last));
    const bool unneeded = name == "logit_scale" || name == "attn_mask" || left_out;
    if (unneeded)
      renaming.unneeded.push_back(name);
    else if (!add(name, renaming))
      renaming.unknown.push_back(name);
  }
  return renaming;
}

constexpr std::string_view kLayers = "text_model.encoder.layers.";

// "text_model.encoder.layers.3.self_attn.q_proj.bias" as 3 and "self_attn.q_proj.bias".
BlockName layer_of(std::string_view name) {
  if (!name.starts_with(kLayers)) return {};
  const auto [layer, rest] = split_at_dot(name.substr(kLayers.size()));
  return {index_of(layer), rest};
}

// transformers' name with the prefix that some versions leave out.
std::string with_prefix(const std::string& name) {
  const bool has = name.starts_with("text_model.") || name.starts_with("text_projection.");
  return has ? name : str("text_model.", name);
}

// True where the name is one of three that are stacked; the first of them stands for all.
bool compose_stacked(const std::string& name, const BlockName& found, Composition& composition) {
  constexpr std::string_view kScope = "self_attn.";
  if (!found.rest.starts_with(kScope)) return false;
  const auto [part, leaf] = split_at_dot(found.rest.substr(kScope.size()));
  if (std::ranges::find(kParts, part) == kParts.end() || (leaf != "weight" && leaf != "bias"))
    return false;
  if (part != kParts[0]) return true;
  ComposedTensor stacked{str("transformer.resblocks.", found.block, ".attn.in_proj_", leaf), {}};
  const std::string scope = name.substr(0, name.size() - part.size() - leaf.size() - 1);
  for (const char* each : kParts) stacked.sources.push_back(str(scope, each, ".", leaf));
  composition.tensors.push_back(std::move(stacked));
  return true;
}

// `canonical` has the prefix that `name` may lack.
bool compose(const std::string& name, const std::string& canonical, Composition& composition) {
  if (canonical == "text_projection.weight") {
    composition.tensors.push_back({"text_projection", {name}, /*transposed=*/true});
    return true;
  }
  if (std::string swap = swapped(canonical, reversed(ends())); !swap.empty()) {
    composition.tensors.push_back({std::move(swap), {name}});
    return true;
  }
  const BlockName found = layer_of(canonical);
  if (found.block < 0) return false;
  if (compose_stacked(name, found, composition)) return true;
  const std::string part = swapped(found.rest, reversed(block_parts()));
  if (part.empty()) return false;
  composition.tensors.push_back({str("transformer.resblocks.", found.block, ".", part), {name}});
  return true;
}

}  // namespace

Renaming rename_open_clip(const TensorNames& names) { return renamed(names, false); }

Renaming rename_open_clip_penultimate(const TensorNames& names) { return renamed(names, true); }

Composition compose_open_clip(const TensorNames& names) {
  Composition composition;
  for (const std::string& name : names)
    if (!name.ends_with("position_ids") && !compose(name, with_prefix(name), composition))
      composition.unknown.push_back(name);
  return composition;
}

Composition compose_clip(const TensorNames& names) {
  Composition composition;
  for (const std::string& name : names) composition.tensors.push_back({with_prefix(name), {name}});
  return composition;
}

}  // namespace emulsion

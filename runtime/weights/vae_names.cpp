#include <algorithm>

#include "emulsion/str.h"
#include "weights/tensor_names.h"

namespace emulsion {
namespace {

const Swaps& ends() {  // of an encoder or a decoder
  static const Swaps swaps = {
      {"conv_in", "conv_in"}, {"conv_out", "conv_out"}, {"norm_out", "conv_norm_out"}};
  return swaps;
}

const Swaps& resnet_parts() {
  static const Swaps swaps = {{"norm1", "norm1"},
                              {"conv1", "conv1"},
                              {"norm2", "norm2"},
                              {"conv2", "conv2"},
                              {"nin_shortcut", "conv_shortcut"}};
  return swaps;
}

const Swaps& attention_parts() {
  static const Swaps swaps = {{"norm", "group_norm"},
                              {"q", "to_q"},
                              {"k", "to_k"},
                              {"v", "to_v"},
                              {"proj_out", "to_out.0"}};
  return swaps;
}

// What diffusers called them before version 0.17.
const Swaps& old_attention_parts() {
  static const Swaps swaps = {
      {"q", "query"}, {"k", "key"}, {"v", "value"}, {"proj_out", "proj_attn"}};
  return swaps;
}

std::string below(const std::string& scope, const std::string& name) {
  return name.empty() ? "" : str(scope, ".", name);
}

std::string middle(std::string_view rest) {
  const auto [part, behind] = split_at_dot(rest);
  if (part == "block_1") return below("mid_block.resnets.0", swapped(behind, resnet_parts()));
  if (part == "block_2") return below("mid_block.resnets.1", swapped(behind, resnet_parts()));
  if (part == "attn_1") return below("mid_block.attentions.0", swapped(behind, attention_parts()));
  return {};
}

// "block.0.norm1.weight" of a level.
std::string unit(const std::string& level, std::string_view rest, bool up) {
  if (rest.starts_with(up ? "upsample.conv." : "downsample.conv."))
    return below(str(level, up ? ".upsamplers.0" : ".downsamplers.0"),
                 std::string(split_at_dot(rest).second));
  const auto [block, behind] = split_at_dot(rest);
  if (block != "block") return {};
  const auto [index, part] = split_at_dot(behind);
  if (index_of(index) < 0) return {};
  return below(str(level, ".resnets.", index), swapped(part, resnet_parts()));
}

// The decoder's levels are counted from the other end.
std::string half(std::string_view name, int up_levels) {
  if (std::string swap = swapped(name, ends()); !swap.empty()) return swap;
  const auto [part, rest] = split_at_dot(name);
  if (part == "mid") return middle(rest);
  if (part != "down" && part != "up") return {};
  const auto [level, behind] = split_at_dot(rest);
  const int index = index_of(level);
  if (index < 0) return {};
  const bool up = part == "up";
  const std::string scope =
      up ? str("up_blocks.", up_levels - 1 - index) : str("down_blocks.", index);
  return unit(scope, behind, up);
}

constexpr std::string_view kMiddleAttention = "mid_block.attentions.0.";

std::string composed_middle(std::string_view rest) {
  const auto [kind, behind] = split_at_dot(rest);
  const auto [unit, part] = split_at_dot(behind);
  if (kind == "resnets" && (unit == "0" || unit == "1"))
    return below(unit == "0" ? "mid.block_1" : "mid.block_2",
                 swapped(part, reversed(resnet_parts())));
  if (kind != "attentions" || unit != "0") return {};
  const std::string name = swapped(part, reversed(attention_parts()));
  return below("mid.attn_1", name.empty() ? swapped(part, reversed(old_attention_parts())) : name);
}

// "resnets.0.norm1.weight" of a level.
std::string composed_unit(const std::string& level, std::string_view rest, bool up) {
  const auto [kind, behind] = split_at_dot(rest);
  const auto [unit, part] = split_at_dot(behind);
  if (kind == (up ? "upsamplers" : "downsamplers") && unit == "0" && part.starts_with("conv."))
    return below(str(level, up ? ".upsample" : ".downsample"), std::string(part));
  if (kind != "resnets" || index_of(unit) < 0) return {};
  return below(str(level, ".block.", unit), swapped(part, reversed(resnet_parts())));
}

std::string composed_half(std::string_view name, int up_levels) {
  if (std::string swap = swapped(name, reversed(ends())); !swap.empty()) return swap;
  const auto [part, rest] = split_at_dot(name);
  if (part == "mid_block") return composed_middle(rest);
  const bool up = part == "up_blocks";
  if (!up && part != "down_blocks") return {};
  const auto [level, behind] = split_at_dot(rest);
  const int index = index_of(level);
  if (index < 0) return {};
  return composed_unit(up ? str("up.", up_levels - 1 - index) : str("down.", index), behind, up);
}

// How many levels a decoder has, whose names begin like this.
int levels_of(const TensorNames& names, std::string_view start) {
  int levels = 0;
  for (const std::string& name : names)
    if (name.starts_with(start))
      levels = std::max(
          levels, index_of(split_at_dot(std::string_view(name).substr(start.size())).first) + 1);
  return levels;
}

bool is_pointwise(std::string_view renamed) {
  return renamed.find(kMiddleAttention) != std::string_view::npos && renamed.ends_with(".weight") &&
         !renamed.ends_with("group_norm.weight");
}

}  // namespace

Renaming rename_ldm_vae(const TensorNames& names) {
  const int up_levels = levels_of(names, "decoder.up.");
  Renaming renaming;
  for (const std::string& name : names) {
    const auto [part, rest] = split_at_dot(name);
    std::string renamed;
    if (part == "encoder" || part == "decoder")
      renamed = below(std::string(part), half(rest, up_levels));
    else if (part == "quant_conv" || part == "post_quant_conv")
      renamed = name;
    if (renamed.empty()) {
      (part == "loss" ? renaming.unneeded : renaming.unknown).push_back(name);
      continue;
    }
    const bool pointwise = is_pointwise(renamed);
    renaming.tensors.push_back(
        {.name = std::move(renamed), .source = name, .pointwise = pointwise});
  }
  return renaming;
}

Composition compose_ldm_vae(const TensorNames& names) {
  const int up_levels = levels_of(names, "decoder.up_blocks.");
  Composition composition;
  for (const std::string& name : names) {
    const auto [part, rest] = split_at_dot(name);
    std::string composed;
    if (part == "encoder" || part == "decoder")
      composed = below(std::string(part), composed_half(rest, up_levels));
    else if (part == "quant_conv" || part == "post_quant_conv")
      composed = name;
    if (composed.empty())
      composition.unknown.push_back(name);
    else
      composition.tensors.push_back(
          {.name = std::move(composed), .sources = {name}, .pointwise = is_pointwise(name)});
  }
  return composition;
}

}  // namespace emulsion

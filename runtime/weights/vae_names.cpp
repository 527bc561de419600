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

}  // namespace

Renaming rename_ldm_vae(const TensorNames& names) {
  int up_levels = 0;
  for (const std::string& name : names)
    if (name.starts_with("decoder.up."))
      up_levels =
          std::max(up_levels, index_of(split_at_dot(std::string_view(name).substr(11)).first) + 1);
  Renaming renaming;
  for (const std::string& name : names) {
    const auto [part, rest] = split_at_dot(name);
    std::string renamed;
    if (part == "encoder" || part == "decoder")
      renamed = below(std::string(part), half(rest, up_levels));
    else if (part == "quant_conv" || part == "post_quant_conv")
      renamed = name;
    if (!renamed.empty())
      renaming.tensors.push_back({std::move(renamed), name});
    else
      (part == "loss" ? renaming.unneeded : renaming.unknown).push_back(name);
  }
  return renaming;
}

}  // namespace emulsion

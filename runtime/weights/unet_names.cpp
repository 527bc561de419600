#include <algorithm>
#include <map>
#include <set>

#include "emulsion/str.h"
#include "weights/tensor_names.h"

namespace emulsion {
namespace {

const Swaps& ends() {  // what stands before and behind the blocks
  static const Swaps swaps = {{"time_embed.0", "time_embedding.linear_1"},
                              {"time_embed.2", "time_embedding.linear_2"},
                              {"label_emb.0.0", "add_embedding.linear_1"},
                              {"label_emb.0.2", "add_embedding.linear_2"},
                              {"input_blocks.0.0", "conv_in"},
                              {"out.0", "conv_norm_out"},
                              {"out.2", "conv_out"}};
  return swaps;
}

const Swaps& resnet_parts() {
  static const Swaps swaps = {
      {"in_layers.0", "norm1"},  {"in_layers.2", "conv1"},  {"emb_layers.1", "time_emb_proj"},
      {"out_layers.0", "norm2"}, {"out_layers.3", "conv2"}, {"skip_connection", "conv_shortcut"}};
  return swaps;
}

// Transformers have the same names on both sides.
const Swaps& transformer_parts() {
  static const Swaps swaps = {{"norm", "norm"},
                              {"proj_in", "proj_in"},
                              {"proj_out", "proj_out"},
                              {"transformer_blocks", "transformer_blocks"}};
  return swaps;
}

// Empty where the name is.
std::string below(const std::string& scope, const std::string& name) {
  return name.empty() ? "" : str(scope, ".", name);
}

// Where a block of the checkpoint stands in diffusers' count.
struct Place {
  int level = 0, unit = 0;
};

// "input_blocks.4.1.norm.weight" as the side, 4, and "1.norm.weight".
struct BlockName {
  bool input = false;
  int block = -1;  // below 0: of no block
  std::string_view rest;
};

BlockName taken_apart(std::string_view name) {
  const auto [side, behind] = split_at_dot(name);
  if (side != "input_blocks" && side != "output_blocks") return {};
  const auto [block, rest] = split_at_dot(behind);
  return {side == "input_blocks", index_of(block), rest};
}

class Layout {
 public:
  explicit Layout(const TensorNames& names) {
    std::set<int> downs, ups;
    int last_input = 0, last_output = -1;
    for (const std::string& name : names) {
      const BlockName found = taken_apart(name);
      if (found.block < 0) continue;
      int& last = found.input ? last_input : last_output;
      last = std::max(last, found.block);
      if (found.input && found.rest.starts_with("0.op.")) downs.insert(found.block);
      if (!found.input && is_upsampler(found.rest)) ups.insert(found.block);
    }
    Place at;
    for (int block = 1; block <= std::min(last_input, kMostBlocks); ++block) {
      input_.emplace(block, at);
      at = downs.contains(block) ? Place{at.level + 1, 0} : Place{at.level, at.unit + 1};
    }
    at = {};
    for (int block = 0; block <= std::min(last_output, kMostBlocks); ++block) {
      output_.emplace(block, at);
      at = ups.contains(block) ? Place{at.level + 1, 0} : Place{at.level, at.unit + 1};
    }
  }

  std::string renamed(const std::string& name) const {
    if (std::string swap = swapped(name, ends()); !swap.empty()) return swap;
    if (name.starts_with("middle_block.")) return middle(split_at_dot(name).second);
    const BlockName found = taken_apart(name);
    const std::map<int, Place>& places = found.input ? input_ : output_;
    const auto place = places.find(found.block);
    if (place == places.end()) return {};
    return found.input ? down(place->second, found.rest) : up(place->second, found.rest);
  }

 private:
  static constexpr int kMostBlocks = 1000;

  static bool is_upsampler(std::string_view rest) {
    return rest.starts_with("1.conv.") || rest.starts_with("2.conv.");
  }

  static std::string middle(std::string_view rest) {
    const auto [index, behind] = split_at_dot(rest);
    if (index == "0" || index == "2")
      return below(index == "0" ? "mid_block.resnets.0" : "mid_block.resnets.1",
                   swapped(behind, resnet_parts()));
    return index == "1" ? below("mid_block.attentions.0", swapped(behind, transformer_parts()))
                        : "";
  }

  static std::string down(const Place& place, std::string_view rest) {
    const std::string level = str("down_blocks.", place.level);
    if (rest.starts_with("0.op."))
      return below(str(level, ".downsamplers.0"), swapped(rest, {{"0.op", "conv"}}));
    return unit(level, place, rest);
  }

  static std::string up(const Place& place, std::string_view rest) {
    const std::string level = str("up_blocks.", place.level);
    if (is_upsampler(rest))
      return below(str(level, ".upsamplers.0"), std::string(split_at_dot(rest).second));
    return unit(level, place, rest);
  }

  static std::string unit(const std::string& level, const Place& place, std::string_view rest) {
    const auto [index, behind] = split_at_dot(rest);
    if (index == "0")
      return below(str(level, ".resnets.", place.unit), swapped(behind, resnet_parts()));
    return index == "1"
               ? below(str(level, ".attentions.", place.unit), swapped(behind, transformer_parts()))
               : "";
  }

  std::map<int, Place> input_, output_;  // by block
};

// "down_blocks.1.resnets.0.norm1.weight" as the side, 1, "resnets", 0 and "norm1.weight".
struct UnitName {
  bool down = false;
  int level = -1, unit = -1;  // below 0: of no unit
  std::string_view kind, rest;
};

UnitName unit_of(std::string_view name) {
  const auto [side, behind] = split_at_dot(name);
  if (side != "down_blocks" && side != "up_blocks") return {};
  const auto [level, inside] = split_at_dot(behind);
  const auto [kind, last] = split_at_dot(inside);
  const auto [unit, rest] = split_at_dot(last);
  return {side == "down_blocks", index_of(level), index_of(unit), kind, rest};
}

// A level of diffusers' count in the checkpoint's.
struct Level {
  int units = 0, first = 0;  // how many blocks have a resnet, and which is the first of them
  bool shrinks = false, attends = false;
};

class Levels {
 public:
  explicit Levels(const TensorNames& names) {
    for (const std::string& name : names) {
      const UnitName found = unit_of(name);
      if (found.level < 0 || found.unit < 0) continue;
      Level& level = (found.down ? down_ : up_)[found.level];
      if (found.kind == "resnets") level.units = std::max(level.units, found.unit + 1);
      level.attends |= found.kind == "attentions";
      level.shrinks |= found.kind == "downsamplers";
    }
    int block = 1;  // input_blocks.0 is conv_in
    for (auto& [index, level] : down_) {
      level.first = block;
      block += level.units + (level.shrinks ? 1 : 0);
    }
    block = 0;
    for (auto& [index, level] : up_) {
      level.first = block;
      block += level.units;
    }
  }

  std::string composed(const std::string& name) const {
    if (std::string swap = swapped(name, reversed(ends())); !swap.empty()) return swap;
    if (name.starts_with("mid_block.")) return middle(split_at_dot(name).second);
    const UnitName found = unit_of(name);
    const std::map<int, Level>& levels = found.down ? down_ : up_;
    const auto level = levels.find(found.level);
    if (level == levels.end() || found.unit < 0) return {};
    const std::string side = found.down ? "input_blocks." : "output_blocks.";
    const int block = level->second.first + found.unit;
    if (found.kind == "resnets")
      return below(str(side, block, ".0"), swapped(found.rest, reversed(resnet_parts())));
    if (found.kind == "attentions")
      return below(str(side, block, ".1"), swapped(found.rest, reversed(transformer_parts())));
    return sampler(level->second, found);
  }

 private:
  static std::string middle(std::string_view rest) {
    const auto [kind, behind] = split_at_dot(rest);
    const auto [unit, part] = split_at_dot(behind);
    if (kind == "attentions" && unit == "0")
      return below("middle_block.1", swapped(part, reversed(transformer_parts())));
    if (kind != "resnets" || (unit != "0" && unit != "1")) return {};
    return below(unit == "0" ? "middle_block.0" : "middle_block.2",
                 swapped(part, reversed(resnet_parts())));
  }

  static std::string sampler(const Level& level, const UnitName& name) {
    if (name.unit != 0 || !name.rest.starts_with("conv.")) return {};
    const int behind = level.first + level.units;
    if (name.down && name.kind == "downsamplers")
      return below(str("input_blocks.", behind), swapped(name.rest, {{"conv", "0.op"}}));
    if (name.down || name.kind != "upsamplers") return {};
    return str("output_blocks.", behind - 1, level.attends ? ".2." : ".1.", name.rest);
  }

  std::map<int, Level> down_, up_;  // by diffusers' index
};

}  // namespace

Renaming rename_ldm_unet(const TensorNames& names) {
  const Layout layout(names);
  Renaming renaming;
  for (const std::string& name : names) {
    std::string renamed = layout.renamed(name);
    if (renamed.empty())
      renaming.unknown.push_back(name);
    else
      renaming.tensors.push_back({std::move(renamed), name});
  }
  return renaming;
}

Composition compose_ldm_unet(const TensorNames& names) {
  const Levels levels(names);
  Composition composition;
  for (const std::string& name : names) {
    std::string composed = levels.composed(name);
    if (composed.empty())
      composition.unknown.push_back(name);
    else
      composition.tensors.push_back({std::move(composed), {name}});
  }
  return composition;
}

}  // namespace emulsion

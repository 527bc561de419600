#include "weights/weight_name.h"

#include <algorithm>
#include <string_view>

namespace emulsion {
namespace {

constexpr std::string_view kSuffix = ".safetensors", kIndexMark = ".safetensors.index";

// Cuts "-00001-of-00002" out of the stem.
bool cut_shard_number(std::string& stem) {
  constexpr std::string_view kShape = "-ddddd-of-ddddd";
  const auto fits = [](char shape, char c) {
    return shape == 'd' ? c >= '0' && c <= '9' : shape == c;
  };
  for (std::size_t at = stem.find('-'); at != std::string::npos; at = stem.find('-', at + 1)) {
    const std::string_view part = std::string_view(stem).substr(at, kShape.size());
    if (!std::ranges::equal(kShape, part, fits)) continue;
    stem.erase(at, kShape.size());
    return true;
  }
  return false;
}

}  // namespace

std::optional<WeightName> parse_weight_name(const std::string& name) {
  WeightName weights{.name = name, .base = {}, .variant = {}};
  std::string stem;
  if (name.ends_with(kSuffix)) {
    stem = name.substr(0, name.size() - kSuffix.size());
    if (cut_shard_number(stem)) weights.kind = WeightName::Kind::Shard;
  } else if (const std::size_t mark = name.find(kIndexMark);
             mark != std::string::npos && name.ends_with(".json")) {
    stem = name.substr(0, mark) + name.substr(mark + kIndexMark.size());
    stem.resize(stem.size() - std::string_view(".json").size());
    weights.kind = WeightName::Kind::Index;
  } else {
    return std::nullopt;
  }
  const std::size_t dot = stem.find('.');
  weights.base = stem.substr(0, dot);
  if (dot != std::string::npos) weights.variant = stem.substr(dot + 1);
  return weights;
}

}  // namespace emulsion

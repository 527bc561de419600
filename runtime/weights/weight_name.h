#pragma once

#include <optional>
#include <string>
#include <tuple>

namespace emulsion {

// The name of a safetensors file, or of an index of shards, taken apart.  All these occur:
// X.safetensors, X.fp16.safetensors, X-00001-of-00002[.fp16].safetensors,
// X.fp16-00001-of-00002.safetensors, X.safetensors.index[.fp16].json,
// X.fp16.safetensors.index.json.
struct WeightName {
  enum class Kind { Whole, Index, Shard };  // in the order of preference

  std::string name, base, variant;  // the variant is empty for the plain file
  Kind kind = Kind::Whole;

  // Less is better, for one who would like `wanted` best: "" or "fp16".  diffusers and transformers
  // look for two bases only.
  auto rank(const std::string& wanted) const {
    const bool unusual_base = base != "diffusion_pytorch_model" && base != "model";
    const bool usual_variant = variant.empty() || variant == "fp16";
    const int variant_rank = variant == wanted ? 0 : usual_variant ? 1 : 2;
    return std::tuple(unusual_base, variant_rank, variant, kind, name);
  }
};

// None where the name is of neither.  [any thread]
std::optional<WeightName> parse_weight_name(const std::string& name);

}  // namespace emulsion

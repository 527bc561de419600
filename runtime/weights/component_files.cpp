#include "weights/component_files.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <tuple>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "weights/safetensors.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffix = ".safetensors", kIndexMark = ".safetensors.index";
constexpr const char* kRemedy = "; fetch the folder again";

enum class Kind { Whole, Index, Shard };  // in the order of preference

// A name taken apart.  All these occur: X.safetensors, X.fp16.safetensors,
// X-00001-of-00002[.fp16].safetensors, X.fp16-00001-of-00002.safetensors,
// X.safetensors.index[.fp16].json, X.fp16.safetensors.index.json.
struct WeightName {
  std::string name, base, variant;
  Kind kind = Kind::Whole;

  // Less is better.  diffusers and transformers look for these two bases only.
  auto rank() const {
    const bool unusual_base = base != "diffusion_pytorch_model" && base != "model";
    const int variant_rank = variant.empty() ? 0 : variant == "fp16" ? 1 : 2;
    return std::tuple(unusual_base, variant_rank, variant, kind, name);
  }
};

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

std::optional<WeightName> taken_apart(const std::string& name) {
  WeightName weights{.name = name, .base = {}, .variant = {}};
  std::string stem;
  if (name.ends_with(kSuffix)) {
    stem = name.substr(0, name.size() - kSuffix.size());
    if (cut_shard_number(stem)) weights.kind = Kind::Shard;
  } else if (const std::size_t mark = name.find(kIndexMark);
             mark != std::string::npos && name.ends_with(".json")) {
    stem = name.substr(0, mark) + name.substr(mark + kIndexMark.size());
    stem.resize(stem.size() - std::string_view(".json").size());
    weights.kind = Kind::Index;
  } else {
    return std::nullopt;
  }
  const std::size_t dot = stem.find('.');
  weights.base = stem.substr(0, dot);
  if (dot != std::string::npos) weights.variant = stem.substr(dot + 1);
  return weights;
}

[[noreturn]] void throw_bad_index(const fs::path& index, const std::string& fault) {
  throw WeightError(str(index.string(), ": ", fault, kRemedy));
}

std::map<std::string, std::string> read_index(const fs::path& path) {
  std::ifstream file(path);
  const nlohmann::json json = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw_bad_index(path, "expected a JSON object");
  const auto map = json.find("weight_map");
  const auto is_text = [](const nlohmann::json& value) { return value.is_string(); };
  if (map == json.end() || !map->is_object() || !std::ranges::all_of(*map, is_text))
    throw_bad_index(path, "expected a 'weight_map' of file names by tensor");
  return map->get<std::map<std::string, std::string>>();
}

WeightFiles sharded(const fs::path& index) {
  WeightFiles weights{{}, index, read_index(index)};
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : weights.shard_of) shards.insert(shard);
  if (shards.empty()) throw_bad_index(index, "names no shard");
  for (const std::string& shard : shards) {
    if (fs::path(shard).filename() != shard)  // a path could lead anywhere
      throw_bad_index(index, str("shard '", shard, "': expected a file of the same folder"));
    std::error_code unreadable;
    if (!fs::is_regular_file(index.parent_path() / shard, unreadable))
      throw_bad_index(index, str("shard '", shard, "' is missing"));
    weights.files.push_back(index.parent_path() / shard);
  }
  return weights;
}

}  // namespace

fs::path component_config(const fs::path& folder) {
  std::error_code unreadable;
  for (const char* name : {"config.json", "scheduler_config.json", "tokenizer_config.json"})
    if (fs::is_regular_file(folder / name, unreadable)) return folder / name;
  return {};
}

WeightFiles weight_files(const fs::path& folder) {
  std::optional<WeightName> best;
  std::error_code unreadable;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, unreadable)) {
    std::optional<WeightName> found = taken_apart(entry.path().filename().string());
    if (found && (!best || found->rank() < best->rank())) best = std::move(found);
  }
  if (!best) return {};
  const fs::path path = folder / best->name;
  if (best->kind == Kind::Shard)
    throw WeightError(str(path.string(), ": a shard without an index: expected '", best->base,
                          kIndexMark, ".json'", kRemedy));
  if (best->kind == Kind::Index) return sharded(path);
  return {{path}, {}, {}};
}

void check_shards(const WeightFiles& weights,
                  const std::vector<std::shared_ptr<const SafetensorsFile>>& files) {
  if (weights.index.empty()) return;
  std::set<std::string_view> found;
  for (const auto& file : files) {
    const std::string shard = file->path().filename().string();
    for (const auto& [name, stored] : file->tensors()) {
      const auto named = weights.shard_of.find(name);
      if (named == weights.shard_of.end() || named->second != shard)
        throw_bad_index(
            weights.index,
            str("tensor '", name, "' is in '", shard, "': expected in ",
                named == weights.shard_of.end() ? "no shard" : str("'", named->second, "'")));
      found.insert(name);
    }
  }
  for (const auto& [name, shard] : weights.shard_of)
    if (!found.contains(name))
      throw_bad_index(weights.index, str("tensor '", name, "': expected in '", shard,
                                         "', which does not have it"));
}

}  // namespace emulsion

#include "weights/component_files.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "weights/safetensors.h"
#include "weights/weight_name.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRemedy = "; fetch the folder again";

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
    std::optional<WeightName> found = parse_weight_name(entry.path().filename().string());
    if (found && (!best || found->rank("") < best->rank(""))) best = std::move(found);
  }
  if (!best) return {};
  const fs::path path = folder / best->name;
  if (best->kind == WeightName::Kind::Shard)
    throw WeightError(str(path.string(), ": a shard without an index: expected '", best->base,
                          ".safetensors.index.json'", kRemedy));
  if (best->kind == WeightName::Kind::Index) return sharded(path);
  return {{path}, {}, {}};
}

void check_shards(const WeightFiles& weights,
                  const std::vector<std::shared_ptr<const TensorFile>>& files) {
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

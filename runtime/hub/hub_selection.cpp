#include "hub/hub_selection.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "weights/checkpoint_settings.h"
#include "weights/weight_name.h"

namespace emulsion {
namespace {

using Json = nlohmann::json;

// Named by many models, and read by no node: over a gigabyte of weights.
const std::set<std::string> kUnused = {"safety_checker", "feature_extractor", "image_encoder"};

bool ends_with_any(const std::string& name, std::initializer_list<const char*> endings) {
  return std::ranges::any_of(endings, [&](const char* ending) { return name.ends_with(ending); });
}

std::string joined(const std::vector<std::string>& names) {
  constexpr std::size_t kNamed = 5;  // more would not be read
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kNamed); ++i)
    text += str(i == 0 ? "'" : ", '", names[i], "'");
  return names.size() > kNamed ? str(text, " and ", names.size() - kNamed, " more") : text;
}

// The files that lie in a folder itself, by name.
std::map<std::string, const HubFile*> files_in(const HubListing& listing,
                                               const std::string& folder) {
  std::map<std::string, const HubFile*> files;
  for (const HubFile& file : listing.files)
    if (file.path.starts_with(folder) && file.path.find('/', folder.size()) == std::string::npos)
      files.emplace(file.path.substr(folder.size()), &file);
  return files;
}

// Configs and vocabularies; an index of shards comes with the shards.
bool is_setting(const std::string& name) {
  return ends_with_any(name, {".json", ".txt", ".model"}) &&
         name.find(".index.") == std::string::npos;
}

// Of all weights in a folder those of one variant: a whole file, or shards with their index.
std::vector<std::string> weights_among(const std::map<std::string, const HubFile*>& files,
                                       Precision precision) {
  const std::string wanted = precision == Precision::Half ? "fp16" : "";
  std::optional<WeightName> best;
  for (const auto& [name, file] : files)
    if (const auto found = parse_weight_name(name))
      if (!best || found->rank(wanted) < best->rank(wanted)) best = found;
  if (!best) return {};
  if (best->kind == WeightName::Kind::Whole) return {best->name};
  std::vector<std::string> names;
  for (const auto& [name, file] : files) {
    const auto found = parse_weight_name(name);
    if (found && found->base == best->base && found->variant == best->variant)
      names.push_back(name);
  }
  return names;
}

void select_part(const HubListing& listing, const std::string& part, Precision precision,
                 const HubId& id, std::vector<HubFile>& selected) {
  const auto files = files_in(listing, part + "/");
  if (files.empty())
    throw WeightError(str("model '", to_text(id), "': ", kModelIndex, " names a part '", part,
                          "' that the repository does not have; take another repository"));
  const std::vector<std::string> weights = weights_among(files, precision);
  std::vector<std::string> pickles;
  for (const auto& [name, file] : files) {
    if (ends_with_any(name, {".bin", ".ckpt", ".pt", ".pth"})) pickles.push_back(file->path);
    if (is_setting(name) || std::ranges::find(weights, name) != weights.end())
      selected.push_back(*file);
  }
  if (weights.empty() && !pickles.empty())
    throw WeightError(str("model '", to_text(id), "': part '", part,
                          "': expected a .safetensors file, got ", joined(pickles),
                          ", which can run any program when it is read; take a repository or a "
                          "revision with safetensors"));
}

// "a/b/" of "a/b/c", "" of "c".
std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

}  // namespace

std::vector<std::string> parts_of(const std::string& model_index, const std::string& place) {
  const Json index = Json::parse(model_index, nullptr, /*allow_exceptions=*/false);
  if (!index.is_object())
    throw WeightError(str(place, ": ", kModelIndex, ": expected a JSON object; get it again"));
  std::vector<std::string> parts;
  for (const auto& [name, value] : index.items()) {
    // [library, class]; both are null where the part was left out
    const bool is_part = value.is_array() && value.size() == 2 && value[1].is_string();
    if (is_part && !kUnused.contains(name) && is_safe_path(name)) parts.push_back(name);
  }
  return parts;
}

std::vector<HubFile> select_model(const HubListing& listing, const std::string& model_index,
                                  Precision precision, const HubId& id) {
  std::vector<HubFile> selected;
  for (const std::string& part : parts_of(model_index, str("model '", to_text(id), "'")))
    select_part(listing, part, precision, id, selected);
  if (const HubFile* index = listing.find(kModelIndex)) selected.push_back(*index);
  return selected;
}

std::vector<HubFile> select_other(const HubListing& listing, Precision precision, const HubId& id) {
  const auto root = files_in(listing, "");
  std::vector<HubFile> selected;
  const auto take = [&](const std::string& name) {
    if (const auto found = root.find(name); found != root.end()) selected.push_back(*found->second);
  };
  if (const auto weights = weights_among(root, precision); root.contains("config.json")) {
    for (const std::string& name : weights) take(name);
    if (!selected.empty()) take("config.json");
    if (!selected.empty()) return selected;
  }
  for (const char* name : kAdapterFiles) {
    if (!root.contains(name)) continue;
    take(kAdapterConfig);
    take(name);
    return selected;
  }
  std::vector<const HubFile*> files;
  for (const HubFile& file : listing.files)
    if (file.path.ends_with(".safetensors")) files.push_back(&file);
  if (files.size() == 1) return {*files.front()};
  throw WeightError(
      str("model '", to_text(id), "': the repository has no ", kModelIndex,
          ", so it is no model in diffusers' layout",
          files.empty() ? "; take another one"
                        : str("; name one of its files: ", to_text(id), "/", files.front()->path)));
}

std::vector<HubFile> select_checkpoint(const HubListing& listing, const HubId& id) {
  const HubFile* checkpoint = listing.find(id.file);
  if (checkpoint == nullptr) {
    std::vector<std::string> others;
    for (const HubFile& file : listing.files)
      if (file.path.ends_with(".safetensors")) others.push_back(file.path);
    throw WeightError(str("model '", to_text(id), "': '", id.repository, "' has no file '", id.file,
                          "' at ", id.revision, others.empty() ? "" : "; it has ", joined(others)));
  }
  const std::string beside = folder_of(id.file);
  std::set<std::string> parts;  // folders with a config
  for (const HubFile& file : listing.files) {
    const std::string folder = folder_of(file.path);
    const bool is_beside =
        folder.starts_with(beside) && folder.find('/', beside.size()) + 1 == folder.size();
    if (is_beside && folder != beside &&
        ends_with_any(file.path,
                      {"/config.json", "/scheduler_config.json", "/tokenizer_config.json"}))
      parts.insert(folder);
  }
  std::vector<HubFile> selected;
  for (const std::string& part : parts)
    for (const auto& [name, file] : files_in(listing, part))
      if (is_setting(name)) selected.push_back(*file);
  const std::string settings = settings_beside(id.file).generic_string();
  for (const std::string& name : {settings, beside + kAdapterConfig})
    if (const HubFile* file = listing.find(name)) selected.push_back(*file);
  selected.push_back(*checkpoint);
  return selected;
}

}  // namespace emulsion

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <system_error>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "weights/checkpoint_component.h"
#include "weights/component_files.h"
#include "weights/safetensors.h"
#include "weights/weight_store.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndex = "model_index.json";
constexpr const char* kIndexPart = "model_index";
constexpr const char* kWanted = "a folder in diffusers' layout";

// Readable names in order, without the hidden ones; a folder's name ends with '/'.
std::vector<std::string> entries_of(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code unreadable;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, unreadable)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with('.')) names.push_back(name + (entry.is_directory() ? "/" : ""));
  }
  std::ranges::sort(names);
  return names;
}

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kNamed = 8;  // more would not be read
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kNamed); ++i)
    text += str(i == 0 ? "'" : ", '", names[i], "'");
  return names.size() > kNamed ? str(text, " and ", names.size() - kNamed, " more") : text;
}

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file) throw WeightError(str(path.string(), ": cannot be read"));
  return text;
}

// The pipeline's class and its parts, as model_index.json tells: "a 'FluxPipeline' with …".
std::string family(const fs::path& model) {
  const nlohmann::json index =
      nlohmann::json::parse(text_of(model / kIndex), nullptr, /*allow_exceptions=*/false);
  if (!index.is_object())
    throw WeightError(
        str((model / kIndex).string(), ": expected a JSON object; fetch the folder again"));
  std::vector<std::string> parts;
  for (const auto& [key, value] : index.items())
    if (value.is_array()) parts.push_back(key);
  const auto name = index.find("_class_name");
  const bool named = name != index.end() && name->is_string();
  return str("a ", named ? str("'", name->get<std::string>(), "'") : "model", " with ",
             parts.empty() ? "no parts" : listed(parts));
}

bool has_suffix(const std::string& name, const std::vector<std::string>& suffixes) {
  return std::ranges::any_of(suffixes, [&](const auto& suffix) { return name.ends_with(suffix); });
}

void check_model_folder(const fs::path& model) {
  const std::string place = str("model '", model.string(), "': ");
  const std::vector<std::string> entries = entries_of(model);
  if (entries.empty()) throw WeightError(str(place, "the folder is empty; expected ", kWanted));
  if (fs::exists(model / kIndex)) {
    family(model);
    return;
  }
  const auto is_part = [&](const std::string& name) {
    return name.ends_with('/') && !component_config(model / name).empty();
  };
  if (std::ranges::any_of(entries, is_part)) return;  // complete enough without its index
  const bool is_component = fs::exists(model / "config.json");
  throw WeightError(str(place, "no ", kIndex, ": expected ", kWanted, ", got ", listed(entries),
                        is_component ? "; this is a part of a model, give the folder above it"
                                     : "; give the folder that has one"));
}

void check_model_file(const std::string& source) {
  if (has_suffix(source, {".safetensors", ".gguf"})) return;
  const std::string place = str("model '", source, "': ");
  refuse_pickle("model", source);
  throw WeightError(
      str(place, "this is no model; give ", kWanted, " or a .safetensors or .gguf file"));
}

[[noreturn]] void throw_not_found(const std::string& source,
                                  const std::vector<fs::path>& model_folders) {
  std::vector<std::string> shipped;  // each once, in whichever of the folders
  for (const fs::path& folder : model_folders)
    for (const std::string& name : entries_of(folder))
      if (name.ends_with('/')) shipped.push_back(name.substr(0, name.size() - 1));
  std::ranges::sort(shipped);
  shipped.erase(std::ranges::unique(shipped).begin(), shipped.end());
  throw WeightError(str("model '", source, "': no such folder or file; give ", kWanted,
                        ", a .safetensors file, ", shipped.empty() ? "or " : "",
                        "a hub id (owner/name)",
                        shipped.empty() ? "" : str(", or a shipped model: ", listed(shipped))));
}

[[noreturn]] void throw_no_part(const fs::path& model, const std::string& part) {
  const bool has_index = fs::exists(model / kIndex);
  throw WeightError(str("model '", model.string(), "': no part '", part, "': got ",
                        has_index ? family(model) : listed(entries_of(model)),
                        "; give a model that has it, or fetch the folder again"));
}

// The pipeline's own settings.  A folder without them has their defaults.
OpenComponent open_index(const fs::path& model) {
  auto component = std::make_shared<Component>();
  const fs::path file = model / kIndex;
  component->place = file.string();
  component->config = fs::exists(file) ? text_of(file) : "{}";
  return {component, {}};
}

OpenComponent open_part_folder(const fs::path& folder) {
  std::error_code unreadable;
  auto component = std::make_shared<Component>();
  component->place = folder.string();
  const fs::path config = component_config(folder);
  if (!config.empty()) component->config = text_of(config);
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, unreadable))
    if (entry.is_regular_file()) component->files[entry.path().filename().string()] = entry.path();
  OpenComponent open{component, {}};
  const WeightFiles weights = weight_files(folder);
  for (const fs::path& file : weights.files)
    open.files.push_back(std::make_shared<const SafetensorsFile>(file));
  check_shards(weights, open.files);
  return open;
}

}  // namespace

void refuse_pickle(const std::string& what, const std::string& file) {
  if (has_suffix(file, {".ckpt", ".pt", ".pth", ".bin", ".pkl"}))
    throw WeightError(str(what, " '", file,
                          "': a pickle file, which can run any program when it is read, so it is "
                          "not read at all; give the ",
                          what, "'s .safetensors file, or convert it with a tool that you trust"));
}

std::optional<fs::path> existing_model(const std::string& source,
                                       const std::vector<fs::path>& model_folders) {
  if (source.empty()) return std::nullopt;
  std::error_code unreadable;
  std::vector<fs::path> candidates{source};
  for (const fs::path& folder : model_folders) candidates.push_back(folder / source);
  for (const fs::path& candidate : candidates)
    if (fs::is_directory(candidate, unreadable) || fs::is_regular_file(candidate, unreadable))
      return candidate;
  return std::nullopt;
}

fs::path find_model(const std::string& source, const std::vector<fs::path>& model_folders) {
  const auto model = existing_model(source, model_folders);
  if (!model) throw_not_found(source, model_folders);
  std::error_code unreadable;
  if (fs::is_directory(*model, unreadable))
    check_model_folder(*model);
  else
    check_model_file(source);
  return *model;
}

OpenComponent open_component(const fs::path& model, const std::string& part,
                             const std::vector<fs::path>& vocabularies) {
  std::error_code unreadable;
  if (fs::is_regular_file(model, unreadable))
    return open_checkpoint_part(model, part, vocabularies);
  if (part == kIndexPart) return open_index(model);
  const fs::path folder = model / part;
  if (!fs::is_directory(folder, unreadable)) throw_no_part(model, part);
  return open_part_folder(folder);
}

bool is_part_folder(const fs::path& place) {
  std::error_code unreadable;
  return fs::is_directory(place, unreadable) && !fs::exists(place / kIndex) &&
         !component_config(place).empty() && !weight_files(place).files.empty();
}

OpenComponent open_replacement(const fs::path& place, const std::string& part,
                               const std::string& own_config) {
  if (is_part_folder(place)) return open_part_folder(place);
  std::error_code unreadable;
  if (fs::is_regular_file(place, unreadable))
    return open_checkpoint_part(place, part, {}, own_config);
  return open_component(place, part);
}

}  // namespace emulsion

#include "weights/checkpoint_component.h"

#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "weights/checkpoint.h"
#include "weights/checkpoint_configs.h"
#include "weights/checkpoint_settings.h"
#include "weights/component_files.h"
#include "weights/config_text.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char *kIndexPart = "model_index", *kIndex = "model_index.json";
constexpr const char* kTokenizerVariable = "EMULSION_TOKENIZER";

[[noreturn]] void refuse(const Checkpoint& checkpoint, const std::string& fault) {
  throw WeightError(str("model '", checkpoint.file->path().string(), "': ", fault));
}

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The config of a folder beside the file, or of its own folder where that is a part's; or empty.
std::string config_beside(const Checkpoint& checkpoint, const std::string& part) {
  const fs::path folder = checkpoint.file->path().parent_path(), index = folder / kIndex;
  std::error_code unreadable;
  if (part == kIndexPart) return fs::is_regular_file(index, unreadable) ? text_of(index) : "";
  fs::path config = component_config(folder / part);
  if (config.empty() && checkpoint.has(part) && checkpoint.parts.size() == 1)
    config = component_config(folder);
  return config.empty() ? "" : text_of(config);
}

// True where both give the same sizes of the network.
bool agree(const std::string& beside, const std::string& found) {
  const json one = json::parse(beside, nullptr, /*allow_exceptions=*/false);
  const json other = json::parse(found, nullptr, /*allow_exceptions=*/false);
  if (!one.is_object()) return false;
  if (!other.is_object()) return true;  // the file tells nothing that could be compared
  for (const char* key : {"in_channels", "cross_attention_dim", "block_out_channels", "hidden_size",
                          "num_hidden_layers", "vocab_size"})
    if (other.contains(key) && (!one.contains(key) || one[key] != other[key])) return false;
  return true;
}

// What stands beside a file counts when it is of the same model, which the UNet's sizes tell.
bool is_beside_its_folder(const Checkpoint& checkpoint) {
  const std::string beside = config_beside(checkpoint, "unet");
  return checkpoint.has("unet") && !beside.empty() &&
         agree(beside, checkpoint_config(checkpoint, "unet"));
}

std::string told_config(const Checkpoint& checkpoint, const std::string& part) {
  std::string found = checkpoint_config(checkpoint, part);
  if (part.starts_with("tokenizer")) {
    const fs::path own = component_config(tokenizer_beside(checkpoint.file->path(), part));
    if (!own.empty()) return text_of(own);
  }
  const std::string beside = config_beside(checkpoint, part);
  if (beside.empty()) return found;
  const bool of_model =
      part == "scheduler" || part == "model_index" || part.starts_with("tokenizer");
  const bool counts = of_model ? is_beside_its_folder(checkpoint) : agree(beside, found);
  return counts ? beside : found;
}

// With the changes that the file's settings ask for.
std::string config_of(const Checkpoint& checkpoint, const std::string& part) {
  std::string told = told_config(checkpoint, part);
  const auto changes = checkpoint.changes.find(part);
  if (changes == checkpoint.changes.end()) return told;
  json config = parse_config(std::move(told));
  if (!config.is_object()) config = json::object();
  config.merge_patch(json::parse(changes->second));
  return config.dump(2) + "\n";
}

using Files = std::map<std::string, fs::path>;

// The vocabulary of a folder.  With `all` also what says how to use it.
Files tokenizer_files(const fs::path& folder, bool all) {
  Files files;
  std::error_code unreadable;
  for (const char* name : {"vocab.json", "merges.txt", "tokenizer.json"})
    if (fs::is_regular_file(folder / name, unreadable)) files[name] = folder / name;
  if (!files.contains("tokenizer.json") && files.size() < 2) return {};
  for (const char* name : {"special_tokens_map.json", "added_tokens.json"})
    if (all && fs::is_regular_file(folder / name, unreadable)) files[name] = folder / name;
  return files;
}

OpenComponent open_tokenizer(const Checkpoint& checkpoint, const std::string& part,
                             const std::vector<fs::path>& vocabularies) {
  auto component = std::make_shared<Component>();
  component->config = config_of(checkpoint, part);
  const fs::path beside = checkpoint.file->path().parent_path();
  const char* const set = std::getenv(kTokenizerVariable);
  const fs::path own = tokenizer_beside(checkpoint.file->path(), part);
  std::vector<fs::path> folders = {own, beside / part};
  if (part != "tokenizer") folders.push_back(beside / "tokenizer");
  if (set != nullptr) folders.emplace_back(set);
  folders.insert(folders.end(), vocabularies.begin(), vocabularies.end());
  for (const fs::path& folder : folders) {
    const bool is_of_model =
        folder == own || (folder == beside / part && is_beside_its_folder(checkpoint));
    component->files = tokenizer_files(folder, is_of_model);
    component->place = folder.string();
    if (!component->files.empty()) return {component, {}};
  }
  refuse(checkpoint, str("a single file has no vocabulary for its '", part,
                         "': expected vocab.json and merges.txt, or tokenizer.json, in '",
                         (beside / part).string(), "' or in the folder that ", kTokenizerVariable,
                         " names", set == nullptr ? " (not set)" : str(" ('", set, "')"),
                         "; copy 'tokenizer/' of any CLIP-based model there"));
}

[[noreturn]] void refuse_part(const Checkpoint& checkpoint, const std::string& part) {
  std::string known;
  for (const auto& [name, found] : checkpoint.parts)
    known += str(known.empty() ? "'" : ", '", name, "'");
  if (known.empty()) {
    const auto& tensors = checkpoint.file->tensors();
    refuse(checkpoint,
           str("not a model that is known: expected a checkpoint of Stable Diffusion 1, 2 or XL, "
               "got ",
               tensors.size(), " tensors",
               tensors.empty() ? "" : str(" such as '", tensors.begin()->first, "'")));
  }
  refuse(checkpoint, str("no part '", part, "': got ", to_text(checkpoint.family), " with ", known,
                         "; give a model that has it"));
}

void refuse_edm(const Checkpoint& checkpoint, const std::string& config) {
  if (checkpoint.prediction.type != "edm" || config.find("\"edm\"") == std::string::npos) return;
  refuse(checkpoint, str("trained by EDM's rules (", checkpoint.prediction.reason,
                         "), which are not supported; give another checkpoint"));
}

}  // namespace

OpenComponent open_checkpoint_part(const fs::path& file, const std::string& part,
                                   const std::vector<fs::path>& vocabularies,
                                   const std::string& fallback_config) {
  const Checkpoint checkpoint = read_checkpoint(file);
  const bool whole = checkpoint.has("unet");
  if (whole && part.starts_with("tokenizer")) return open_tokenizer(checkpoint, part, vocabularies);
  const auto found = checkpoint.parts.find(part);
  if (found == checkpoint.parts.end() && !(whole && part == "scheduler") && part != kIndexPart)
    refuse_part(checkpoint, part);
  auto component = std::make_shared<Component>();
  component->place = str(file.string(), " (", part, ")");
  component->config = config_of(checkpoint, part);
  if (component->config.empty()) component->config = fallback_config;
  if (component->config.empty())
    refuse(checkpoint,
           str("a '", part, "' by itself does not tell its config: expected '",
               (file.parent_path() / part / "config.json").string(), "', or the family in '",
               settings_beside(file).string(), "'; put the config of its model there"));
  if (part == "scheduler") refuse_edm(checkpoint, component->config);
  OpenComponent open{component, {}};
  if (found != checkpoint.parts.end())
    open.files.push_back(
        std::make_shared<const TensorFile>(*checkpoint.file, found->second.tensors));
  return open;
}

}  // namespace emulsion

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "weights/checkpoint_configs.h"
#include "weights/checkpoint_settings.h"
#include "weights/config_text.h"
#include "weights/conversion.h"
#include "weights/conversion_tensors.h"
#include "weights/settings_to_keep.h"
#include "weights/weight_store.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

using Dtype = std::optional<c10::ScalarType>;

constexpr const char* kTokenizerConfig = "tokenizer_config.json";
constexpr const char *kFormat = "format", *kPyTorch = "pt";  // transformers asks for it
constexpr const char* kPrediction = "modelspec.prediction_type";

// Where diffusers and transformers look for the weights of a part.
fs::path weights_of(const std::string& part) {
  const bool of_transformers =
      part.starts_with("text_encoder") || part == "safety_checker" || part == "image_encoder";
  return fs::path(part) /
         (of_transformers ? "model.safetensors" : "diffusion_pytorch_model.safetensors");
}

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kNamed = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(kNamed, names.size()); ++i)
    text += str(i == 0 ? "'" : ", '", names[i], "'");
  return names.size() > kNamed ? str(text, " and ", names.size() - kNamed, " more") : text;
}

// A part of a file as a folder has it.
void add_folder_part(const fs::path& model, const Checkpoint& checkpoint, const std::string& name,
                     Dtype dtype, Conversion& conversion) {
  const CheckpointPart& part = checkpoint.parts.at(name);
  TensorPieces pieces;
  for (const auto& [tensor, stored] : part.tensors)
    pieces.emplace(tensor, TensorPiece{checkpoint.file, stored});
  for (const std::string& unneeded : part.unneeded)  // some folders have it
    if (unneeded.ends_with("position_ids"))
      pieces.emplace(
          unneeded.substr(part.prefix.size()),
          TensorPiece{checkpoint.file, checkpoint.file->tensors().find(unneeded)->second});
  std::map<std::string, std::string> metadata = checkpoint.file->metadata();
  metadata.emplace(kFormat, kPyTorch);
  conversion.weights.push_back({weights_of(name), kept(pieces, dtype), metadata});
  conversion.texts[fs::path(name) / "config.json"] = open_component(model, name).component->config;
}

void add_tokenizer(const fs::path& model, const std::string& name, const fs::path& place,
                   const std::vector<fs::path>& vocabularies, Conversion& conversion) {
  OpenComponent tokenizer;
  try {
    tokenizer = open_component(model, name, vocabularies);
  } catch (const WeightError& fault) {  // all else is there
    conversion.notes.push_back(str("without '", name, "': ", fault.what()));
    return;
  }
  conversion.texts[place / kTokenizerConfig] = tokenizer.component->config;
  for (const auto& [file, path] : tokenizer.component->files)
    if (file != kTokenizerConfig) conversion.copies[place / file] = path;
}

// Which parts there are is told by the file; settings of the pipeline may lie beside it.
std::string index_of_folder(const fs::path& model, const Checkpoint& checkpoint) {
  json index = json::parse(checkpoint_config(checkpoint, "model_index"));
  const json told = parse_config(open_component(model, "model_index").component->config);
  if (!told.is_object()) return index.dump(2) + "\n";
  for (const auto& [key, value] : told.items())
    if (!value.is_structured() && key != "_class_name") index[key] = value;
  return index.dump(2) + "\n";
}

void file_to_folder(const fs::path& model, Dtype dtype, const std::vector<fs::path>& vocabularies,
                    Conversion& conversion) {
  const Checkpoint checkpoint = read_checkpoint(model);
  if (checkpoint.parts.empty()) open_component(model, "unet");  // says what is wrong
  std::vector<std::string> unknown = checkpoint.unknown;
  for (const auto& [name, part] : checkpoint.parts) {
    add_folder_part(model, checkpoint, name, dtype, conversion);
    unknown.insert(unknown.end(), part.unknown.begin(), part.unknown.end());
  }
  if (!unknown.empty())
    conversion.notes.push_back(
        str("left out ", unknown.size(), " unknown tensors: ", listed(unknown)));
  if (!checkpoint.has("unet")) return;
  conversion.texts["model_index.json"] = index_of_folder(model, checkpoint);
  conversion.texts["scheduler/scheduler_config.json"] =
      open_component(model, "scheduler").component->config;
  for (const std::string suffix : {"", "_2"})
    if (checkpoint.has("text_encoder" + suffix))
      add_tokenizer(model, "tokenizer" + suffix, "tokenizer" + suffix, vocabularies, conversion);
}

// CLIP's vocabulary is found wherever this runs; a model with another one brings its own.
bool has_own_vocabulary(const ConvertedFile& file) {
  constexpr std::int64_t kWords = 49408;
  return std::ranges::any_of(file.tensors, [](const ConvertedTensor& tensor) {
    const auto& [name, spec] = tensor.target;
    return name.ends_with("token_embedding.weight") && spec.shape.front() != kWords;
  });
}

// What a single file cannot say itself, beside it.
void add_companions(const fs::path& model, const CheckpointHeader& header,
                    const std::vector<fs::path>& vocabularies, Conversion& conversion) {
  const fs::path& target = conversion.target;
  const std::string settings = settings_to_keep(model, header, vocabularies);
  if (!settings.empty()) conversion.texts[settings_beside(target).filename()] = settings;
  const Checkpoint told = read_checkpoint(header, {});
  if (!told.has("unet") || !has_own_vocabulary(conversion.weights.front())) return;
  for (const std::string suffix : {"", "_2"})
    if (told.has("text_encoder" + suffix))
      add_tokenizer(model, "tokenizer" + suffix,
                    tokenizer_beside(target, "tokenizer" + suffix).filename(), vocabularies,
                    conversion);
}

// The file as it is going to be.
CheckpointHeader header_to_write(const ConvertedFile& file, const fs::path& target) {
  CheckpointHeader header{target, {}, file.metadata};
  for (const ConvertedTensor& tensor : file.tensors)
    header.tensors.emplace(tensor.target.name, StoredTensor{tensor.target.spec});
  return header;
}

// Where a single file keeps a part.
struct FilePlace {
  std::string prefix;
  Composition (*compose)(const TensorNames&) = nullptr;  // null: nowhere
};

FilePlace place_of(const std::string& part, Family family) {
  const bool refiner = family == Family::SdxlRefiner, sdxl = family == Family::Sdxl;
  if (part == "unet") return {"model.diffusion_model.", compose_ldm_unet};
  if (part == "vae") return {"first_stage_model.", compose_ldm_vae};
  if (part == "text_encoder" && family == Family::StableDiffusion1)
    return {"cond_stage_model.transformer.", compose_clip};
  if (part == "text_encoder" && family == Family::StableDiffusion2)
    return {"cond_stage_model.model.", compose_open_clip};
  if (part == "text_encoder" && sdxl) return {"conditioner.embedders.0.transformer.", compose_clip};
  if (part == "text_encoder_2" && (sdxl || refiner))
    return {refiner ? "conditioner.embedders.0.model." : "conditioner.embedders.1.model.",
            compose_open_clip};
  return {};
}

// Metadata and markers tell what the UNet gives, to other programs as well.
void keep_prediction(const fs::path& model, ConvertedFile& file) {
  const json config = parse_config(open_component(model, "scheduler").component->config);
  if (!config.is_object()) return;
  const json prediction = config.value("prediction_type", json("epsilon"));
  if (prediction != "epsilon" && prediction != "v_prediction" && prediction != "sample")
    throw WeightError(str(model.string(), ": 'prediction_type' is ", prediction.dump(),
                          ": expected epsilon, v_prediction or sample; fetch the folder again"));
  const bool velocity = prediction == "v_prediction";
  file.metadata[kPrediction] = velocity ? "v" : prediction.get<std::string>();
  if (!velocity || config.value("rescale_betas_zero_snr", json(false)) != true) return;
  for (const char* marker : {"v_pred", "ztsnr"})
    file.tensors.push_back({{marker, {{0}, c10::ScalarType::Float}}, {}});
}

constexpr std::array<std::string_view, 6> kEndings = {".bin",  ".pt",      ".pth",
                                                      ".ckpt", ".msgpack", ".h5"};

// Weights in other formats are told: without those of a network there is no model.
void tell_of_other_formats(const fs::path& model, Conversion& conversion) {
  constexpr std::array<const char*, 4> kNetworks = {"unet", "vae", "text_encoder",
                                                    "text_encoder_2"};
  std::error_code unreadable;
  for (const fs::directory_entry& entry : fs::directory_iterator(model, unreadable)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_directory() || name.starts_with('.')) continue;
    const OpenComponent open = open_component(model, name);
    const auto is_other = [](const auto& file) {
      return std::ranges::find(kEndings, file.second.extension().string()) != kEndings.end();
    };
    if (!open.files.empty() || std::ranges::none_of(open.component->files, is_other)) continue;
    if (std::ranges::find(kNetworks, name) != kNetworks.end())
      header_of(open, c10::ScalarType::Float);  // says what is wrong
    conversion.notes.push_back(
        str("left out the weights of '", name, "', which are not in safetensors format"));
  }
}

void folder_to_file(const fs::path& model, Dtype dtype, const std::vector<fs::path>& vocabularies,
                    Conversion& conversion) {
  const Checkpoint checkpoint = checkpoint_of_folder(model);
  ConvertedFile file;
  for (const auto& [name, part] : checkpoint.parts) {
    const FilePlace place = place_of(name, checkpoint.family);
    if (place.compose == nullptr) {
      conversion.notes.push_back(str("left out '", name, "', which a single file of ",
                                     to_text(checkpoint.family), " has no place for"));
      continue;
    }
    const OpenComponent open = open_component(model, name);
    TensorNames names;
    for (const auto& [tensor, stored] : part.tensors) names.push_back(tensor);
    const std::vector<ConvertedTensor> tensors = composed(
        open.component->place, pieces_of(open.files), place.compose(names), place.prefix, dtype);
    file.tensors.insert(file.tensors.end(), tensors.begin(), tensors.end());
    for (const auto& shard : open.files)
      file.metadata.insert(shard->metadata().begin(), shard->metadata().end());
  }
  if (file.tensors.empty())
    throw WeightError(str("model '", model.string(), "': no part that a single file could hold"));
  file.metadata.emplace(kFormat, kPyTorch);
  if (checkpoint.has("unet")) keep_prediction(model, file);
  file.tensors = in_written_order(std::move(file.tensors));
  conversion.weights.push_back(std::move(file));
  add_companions(model, header_to_write(conversion.weights.front(), conversion.target),
                 vocabularies, conversion);
}

void file_to_file(const fs::path& model, Dtype dtype, const std::vector<fs::path>& vocabularies,
                  Conversion& conversion) {
  const auto file = open_tensor_file(model);
  conversion.weights.push_back({{}, kept(pieces_of(file), dtype), file->metadata()});
  add_companions(model, header_of(*file), vocabularies, conversion);
}

// Configs, vocabularies, licences: not the weights, in whatever form.
bool is_text(const fs::path& file) {
  const std::string name = file.filename().string(), ending = file.extension().string();
  if (name.find(".index") != std::string::npos) return false;
  return ending.empty() || ending == ".json" || ending == ".txt" || ending == ".md" ||
         ending == ".model";
}

void copy_texts(const fs::path& model, const fs::path& below, Conversion& conversion) {
  std::error_code unreadable;
  for (const fs::directory_entry& entry : fs::directory_iterator(model / below, unreadable))
    if (entry.is_regular_file() && is_text(entry.path()) &&
        !entry.path().filename().string().starts_with('.'))
      conversion.copies[below / entry.path().filename()] = entry.path();
}

void folder_to_folder(const fs::path& model, Dtype dtype, Conversion& conversion) {
  copy_texts(model, "", conversion);
  std::error_code unreadable;
  for (const fs::directory_entry& entry : fs::directory_iterator(model, unreadable)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_directory() || name.starts_with('.')) continue;
    copy_texts(model, name, conversion);
    const OpenComponent open = open_component(model, name);
    if (open.files.empty()) continue;
    std::map<std::string, std::string> metadata;
    for (const auto& shard : open.files)
      metadata.insert(shard->metadata().begin(), shard->metadata().end());
    metadata.emplace(kFormat, kPyTorch);
    conversion.weights.push_back({weights_of(name), kept(pieces_of(open.files), dtype), metadata});
  }
}

}  // namespace

Conversion plan_conversion(const fs::path& model, const fs::path& target, ModelLayout layout,
                           Dtype dtype, const std::vector<fs::path>& vocabularies) {
  std::error_code unreadable;
  std::vector<fs::path> places = {target};
  if (layout == ModelLayout::SingleFile)
    for (const fs::path& beside : {settings_beside(target), tokenizer_beside(target, "tokenizer"),
                                   tokenizer_beside(target, "tokenizer_2")})
      places.push_back(beside);
  for (const fs::path& place : places)
    if (fs::exists(fs::symlink_status(place, unreadable)))
      throw RunError(str("'", place.string(),
                         "' is there already: expected a place for the model; give another one, or "
                         "remove it first"));
  Conversion conversion;
  conversion.target = target;
  conversion.layout = layout;
  const bool from_file = fs::is_regular_file(model, unreadable);
  if (!from_file) tell_of_other_formats(model, conversion);
  if (layout == ModelLayout::SingleFile)
    (from_file ? file_to_file : folder_to_file)(model, dtype, vocabularies, conversion);
  else if (from_file)
    file_to_folder(model, dtype, vocabularies, conversion);
  else
    folder_to_folder(model, dtype, conversion);
  return conversion;
}

}  // namespace emulsion

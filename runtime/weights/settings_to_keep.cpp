#include "weights/settings_to_keep.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "emulsion/errors.h"
#include "weights/checkpoint_configs.h"
#include "weights/checkpoint_settings.h"
#include "weights/config_text.h"
#include "weights/weight_store.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Of training, of the program that wrote the config, or told by another key.
const std::set<std::string> kWithoutEffect = {"addition_embed_type_num_heads",
                                              "attention_dropout",
                                              "clip_sample_range",
                                              "dropout",
                                              "dtype",
                                              "dynamic_thresholding_ratio",
                                              "initializer_factor",
                                              "initializer_range",
                                              "requires_safety_checker",
                                              "sample_max_value",
                                              "torch_dtype",
                                              "transformers_version"};

// What a run takes for a key that a config lacks, of those that are often written out.
json usual_of(const std::string& part, const json& own) {
  if (part == "unet")
    return {{"act_fn", "silu"},
            {"attention_type", "default"},
            {"center_input_sample", false},
            {"class_embeddings_concat", false},
            {"conv_in_kernel", 3},
            {"conv_out_kernel", 3},
            {"downsample_padding", 1},
            {"dual_cross_attention", false},
            {"flip_sin_to_cos", true},
            {"freq_shift", 0},
            {"mid_block_scale_factor", 1},
            {"mid_block_type", "UNetMidBlock2DCrossAttn"},
            {"norm_eps", 1e-5},
            {"norm_num_groups", 32},
            {"only_cross_attention", false},
            {"resnet_out_scale_factor", 1},
            {"resnet_skip_time_act", false},
            {"resnet_time_scale_shift", "default"},
            {"time_embedding_type", "positional"},
            {"transformer_layers_per_block", 1},
            {"upcast_attention", false},
            {"use_linear_projection", false}};
  if (part == "vae")
    return {{"act_fn", "silu"},           {"force_upcast", false},
            {"norm_num_groups", 32},      {"mid_block_add_attention", true},
            {"scaling_factor", 0.18215},  {"use_quant_conv", true},
            {"use_post_quant_conv", true}};
  if (part == "scheduler") {
    const json name = own.value("_class_name", json());
    const bool leads = name == "DDIMScheduler" || name == "PNDMScheduler";
    return {{"final_sigmas_type", "zero"},     {"interpolation_type", "linear"},
            {"prediction_type", "epsilon"},    {"rescale_betas_zero_snr", false},
            {"skip_prk_steps", true},  // a way to begin that is not computed
            {"thresholding", false},           {"timestep_spacing", leads ? "leading" : "linspace"},
            {"timestep_type", "discrete"},     {"use_beta_sigmas", false},
            {"use_exponential_sigmas", false}, {"use_karras_sigmas", false}};
  }
  return json::object();
}

bool counts(const std::string& part, const std::string& key, const json& value) {
  if (value.is_null() || kWithoutEffect.contains(key)) return false;
  if (key.starts_with('_')) return part == "scheduler" && key == "_class_name";
  if (part == "vae") return key != "sample_size";
  return part != "model_index" || !value.is_structured();
}

// One number for all levels is the same as a list of it; a special token may be an object.
bool same(const json& one, const json& other) {
  if (one == other) return true;
  if (one.is_object()) return one.contains("content") && one["content"] == other;
  const json &list = one.is_array() ? one : other, &item = one.is_array() ? other : one;
  return list.is_array() && !item.is_array() &&
         std::ranges::all_of(list, [&](const json& each) { return each == item; });
}

// What makes `told` have the effect of `own`: a patch, in which null takes a key away.
json changes_to(const std::string& part, const json& told, const json& own) {
  const json usual = usual_of(part, own);
  const bool told_alone = part.starts_with("tokenizer");  // the rest comes with its vocabulary
  json changes = json::object();
  for (const auto& [key, value] : own.items()) {
    if (!counts(part, key, value) || (told_alone && !told.contains(key))) continue;
    const json& other = told.contains(key) ? told : usual;
    if (!same(value, other.value(key, json()))) changes[key] = value;
  }
  for (const auto& [key, value] : told.items())
    if (counts(part, key, value) && own.value(key, json()).is_null() &&
        !same(value, usual.value(key, json())))
      changes[key] = nullptr;
  return changes;
}

// Null where the model has none.
json config_of(const fs::path& model, const std::string& part,
               const std::vector<fs::path>& vocabularies) {
  try {
    const json config = parse_config(open_component(model, part, vocabularies).component->config);
    return config.is_object() ? config : json();
  } catch (const WeightError&) {  // a part that is not there, or a vocabulary
    return {};
  }
}

Checkpoint checkpoint_of(const fs::path& model) {
  std::error_code unreadable;
  return fs::is_regular_file(model, unreadable) ? read_checkpoint(model)
                                                : checkpoint_of_folder(model);
}

std::vector<std::string> parts_of(const Checkpoint& told) {
  std::vector<std::string> parts;
  for (const auto& [name, part] : told.parts) parts.push_back(name);
  if (!told.has("unet")) return parts;
  parts.insert(parts.end(), {"scheduler", "model_index"});
  for (const std::string suffix : {"", "_2"})
    if (told.has("text_encoder" + suffix)) parts.push_back("tokenizer" + suffix);
  return parts;
}

}  // namespace

std::string settings_to_keep(const fs::path& model, const CheckpointHeader& file,
                             const std::vector<fs::path>& vocabularies) {
  CheckpointSettings settings;
  json kept = json::object();
  const Checkpoint source = checkpoint_of(model);
  Checkpoint told = read_checkpoint(file, settings);
  if (source.family != told.family && source.family != Family::Unknown) {
    kept["family"] = settings_name(source.family);
    settings.family = source.family;
  }
  const json scheduler = told.has("unet") ? config_of(model, "scheduler", {}) : json();
  if (scheduler.is_object()) {
    const json prediction = scheduler.value("prediction_type", json("epsilon"));
    if (prediction.is_string() && prediction != told.prediction.type)
      kept["prediction"] = settings.prediction = prediction;
  }
  told = read_checkpoint(file, settings);
  for (const std::string& part : parts_of(told)) {
    const json own = config_of(model, part, vocabularies);
    if (own.is_null()) continue;
    const json as_told = parse_config(checkpoint_config(told, part));
    const json changes = changes_to(part, as_told.is_object() ? as_told : json::object(), own);
    if (!changes.empty()) kept[part] = changes;
  }
  return kept.empty() ? "" : kept.dump(2) + "\n";
}

}  // namespace emulsion

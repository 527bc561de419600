#include "weights/adapter_names.h"

#include <algorithm>
#include <array>
#include <utility>

#include "emulsion/str.h"
#include "weights/tensor_names.h"

namespace emulsion {
namespace {

using std::string_view_literals::operator""sv;

struct Ending {
  std::string_view text;
  const char* piece;
  bool by_peft;
};

// By kohya's scripts, diffusers of three ages, and PEFT.  The first that fits counts.
constexpr std::array<Ending, 24> kEndings = {{
    {".lora_down.weight", "down", false},
    {".lora_up.weight", "up", false},
    {".lora_mid.weight", "core", false},
    {".dora_scale", "norms", false},
    {"_lora.down.weight", "down", true},
    {"_lora.up.weight", "up", true},
    {".lora_linear_layer.down.weight", "down", true},
    {".lora_linear_layer.up.weight", "up", true},
    {".lora.down.weight", "down", true},
    {".lora.up.weight", "up", true},
    {".lora_A.weight", "down", true},
    {".lora_B.weight", "up", true},
    {".lora_B.bias", "up_bias", true},
    {".oft_R.weight", "oft_R", true},
    {".boft_R", "boft_R", true},
    {".boft_s", "boft_s", true},
    {".ia3_l", "ia3_l", true},
    {".a1.weight", "a1", false},
    {".a2.weight", "a2", false},
    {".b1.weight", "b1", false},
    {".b2.weight", "b2", false},
    {".bm.weight", "bm", false},
    {".lora_magnitude_vector.weight", "row_norms", true},
    {".lora_magnitude_vector", "row_norms", true},
}};

// LyCORIS', and what it shares with others.
constexpr std::array kPieces = {
    "alpha"sv,     "hada_w1_a"sv, "hada_w1_b"sv,  "hada_w2_a"sv, "hada_w2_b"sv, "hada_t1"sv,
    "hada_t2"sv,   "lokr_w1"sv,   "lokr_w1_a"sv,  "lokr_w1_b"sv, "lokr_w2"sv,   "lokr_w2_a"sv,
    "lokr_w2_b"sv, "lokr_t2"sv,   "oft_blocks"sv, "rescale"sv,   "diff"sv,      "diff_b"sv,
    "w_norm"sv,    "b_norm"sv,    "on_input"sv,   "weight"sv,
};

bool cut_out(std::string& text, std::string_view what) {
  const std::size_t place = text.find(what);
  if (place == std::string::npos) return false;
  text.erase(place, what.size());
  return true;
}

// A start of names, the part that is meant, and whether dots have become underscores behind it.
struct Prefix {
  std::string_view text;
  const char* part;
  bool joined;
};

// kohya's, diffusers', ComfyUI's, and none.  The first under which a module is found counts.
constexpr std::array<Prefix, 17> kPrefixes = {{
    {"lora_unet_", "unet", true},
    {"oft_unet_", "unet", true},
    {"lora_te_", "text_encoder", true},
    {"lora_te1_", "text_encoder", true},
    {"lora_te2_", "text_encoder_2", true},
    {"unet.", "unet", false},
    {"text_encoder.", "text_encoder", false},
    {"text_encoder_2.", "text_encoder_2", false},
    {"model.diffusion_model.", "unet", false},
    {"diffusion_model.", "unet", false},
    {"clip_l.transformer.", "text_encoder", false},
    {"clip_g.transformer.", "text_encoder_2", false},
    {"text_encoders.clip_l.transformer.", "text_encoder", false},
    {"text_encoders.clip_g.transformer.", "text_encoder_2", false},
    {"", "unet", false},
    {"", "text_encoder", false},
    {"", "text_encoder_2", false},
}};

constexpr std::string_view kTextModel = "text_model.";

// "conv_in.weight", "attn.in_proj_weight" without what is at the end, or empty.
std::string module_of(std::string_view name) {
  for (const std::string_view leaf : {".weight"sv, "_weight"sv, ".bias"sv, "_bias"sv})
    if (name.ends_with(leaf)) return std::string(name.substr(0, name.size() - leaf.size()));
  return {};
}

std::string replaced(std::string name, std::string_view from, std::string_view to) {
  const std::size_t place = name.find(from);
  return place == std::string::npos ? name : name.replace(place, from.size(), to);
}

// Diffusers before version 0.16 hung adapters of attention below a processor, and called a text
// encoder's projections what a UNet's are called.
std::string old_name(const std::string& module) {
  constexpr std::string_view kOut = ".to_out.0";
  if (module.find(".attn") != std::string::npos && module.find(".to_") != std::string::npos) {
    const bool out = module.ends_with(kOut);
    return replaced(out ? module.substr(0, module.size() - 2) : module, ".to_", ".processor.to_");
  }
  if (module.find(".self_attn.") == std::string::npos) return {};
  return replaced(replaced(module, ".self_attn.", ".self_attn.to_"), "_proj", "");
}

// What transformers calls a text encoder's module, in all versions.
std::vector<std::string> text_names(const std::string& module) {
  const bool has = module.starts_with(kTextModel);
  return {module, has ? module.substr(kTextModel.size()) : str(kTextModel, module)};
}

// What the model's own single file calls the tensors.
Composition composed(const std::string& part, const TensorNames& names) {
  return part == "unet" ? compose_ldm_unet(names) : compose_open_clip(names);
}

}  // namespace

AdapterKey take_apart(const std::string& name) {
  AdapterKey key{name, {}, false};
  key.by_peft = cut_out(key.module, "base_model.model.");
  cut_out(key.module, ".default");  // the name that PEFT gives an adapter
  for (const Ending& ending : kEndings) {
    if (!key.module.ends_with(ending.text)) continue;
    key.by_peft |= ending.by_peft;
    key.module.resize(key.module.size() - ending.text.size());
    key.piece = ending.piece;
    return key;
  }
  const std::size_t dot = key.module.rfind('.');
  if (dot == std::string::npos) return key;
  const std::string_view last = std::string_view(key.module).substr(dot + 1);
  if (std::ranges::find(kPieces, last) == kPieces.end()) return key;
  key.piece = last;
  key.module.resize(dot);
  return key;
}

AdapterNames::AdapterNames(const PartTensors& base) {
  for (const auto& [part, tensors] : base) {
    if (part != "unet" && !part.starts_with("text_encoder")) continue;
    TensorNames names;
    for (const auto& [name, spec] : tensors) names.push_back(name);
    for (const std::string& name : names) add(part, module_of(name));
    for (const ComposedTensor& tensor : composed(part, names).tensors) {
      if (tensor.transposed) continue;  // no trainer's module, but a bare parameter
      std::vector<std::string> modules;
      for (const std::string& source : tensor.sources) modules.push_back(module_of(source));
      add_spelling(part, module_of(tensor.name), modules);
    }
  }
}

void AdapterNames::add(const std::string& part, const std::string& module) {
  const std::vector<std::string> spellings =
      part == "unet" ? std::vector{module} : text_names(module);
  for (const std::string& spelling : spellings) {
    add_spelling(part, spelling, {module});
    add_spelling(part, old_name(spelling), {module});
  }
}

void AdapterNames::add_spelling(const std::string& part, const std::string& spelling,
                                const std::vector<std::string>& modules) {
  if (spelling.empty() || modules.front().empty()) return;
  std::string joined = spelling;
  std::ranges::replace(joined, '.', '_');
  dotted_[part].emplace(spelling, modules);
  joined_[part].emplace(joined, modules);
}

std::optional<AdapterTarget> AdapterNames::find(const std::string& module) const {
  for (const Prefix& prefix : kPrefixes) {
    if (!module.starts_with(prefix.text)) continue;
    const auto& parts = prefix.joined ? joined_ : dotted_;
    const auto names = parts.find(prefix.part);
    if (names == parts.end()) continue;
    const auto found = names->second.find(module.substr(prefix.text.size()));
    if (found != names->second.end()) return AdapterTarget{prefix.part, found->second};
  }
  return std::nullopt;
}

}  // namespace emulsion

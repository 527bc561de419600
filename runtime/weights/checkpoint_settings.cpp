#include "weights/checkpoint_settings.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::array<std::pair<const char*, Family>, 4> kFamilies = {{
    {"sd1", Family::StableDiffusion1},
    {"sd2", Family::StableDiffusion2},
    {"sdxl", Family::Sdxl},
    {"sdxl_refiner", Family::SdxlRefiner},
}};
constexpr std::array<const char*, 3> kPredictions = {"epsilon", "v_prediction", "sample"};
constexpr std::array<const char*, 8> kParts = {"unet",        "vae",        "text_encoder",
                                               "tokenizer",   "scheduler",  "text_encoder_2",
                                               "tokenizer_2", "model_index"};

class SettingsFile {
 public:
  explicit SettingsFile(fs::path path) : path_(std::move(path)) {}

  CheckpointSettings read() const {
    std::ifstream file(path_);
    const json root = json::parse(file, nullptr, /*allow_exceptions=*/false);
    if (!root.is_object()) refuse("expected a JSON object");
    CheckpointSettings settings;
    for (const auto& [key, value] : root.items()) add(key, value, settings);
    return settings;
  }

 private:
  [[noreturn]] void refuse(const std::string& fault) const {
    throw WeightError(str(path_.string(), ": ", fault, "; see docs/models.md"));
  }

  void add(const std::string& key, const json& value, CheckpointSettings& settings) const {
    if (key == "family")
      settings.family = family(value);
    else if (key == "prediction")
      settings.prediction = prediction(value);
    else if (std::ranges::find(kParts, key) == kParts.end())
      refuse(
          str("'", key, "': expected family, prediction or a part such as unet, vae or scheduler"));
    else if (!value.is_object())
      refuse(str("'", key, "': expected an object of the config's keys to change"));
    else
      settings.changes[key] = value.dump();
  }

  Family family(const json& value) const {
    for (const auto& [name, family] : kFamilies)
      if (value == name) return family;
    refuse(str("'family': expected sd1, sd2, sdxl or sdxl_refiner, got ", value.dump()));
  }

  std::string prediction(const json& value) const {
    for (const char* name : kPredictions)
      if (value == name) return name;
    refuse(str("'prediction': expected epsilon, v_prediction or sample, got ", value.dump()));
  }

  fs::path path_;
};

}  // namespace

fs::path settings_beside(const fs::path& file) {
  fs::path path = file;
  return path.replace_extension(".emulsion.json");
}

fs::path tokenizer_beside(const fs::path& file, const std::string& part) {
  fs::path path = file;
  return path.replace_extension("." + part);
}

std::string settings_name(Family family) {
  for (const auto& [name, known] : kFamilies)
    if (known == family) return name;
  return {};
}

CheckpointSettings read_checkpoint_settings(const fs::path& file) {
  const fs::path path = settings_beside(file);
  std::error_code unreadable;
  if (!fs::is_regular_file(path, unreadable)) return {};
  CheckpointSettings settings = SettingsFile(path).read();
  if (!settings.prediction.empty()) {  // a scheduler's config beside the file counts less
    json scheduler = json::object();
    if (const auto change = settings.changes.find("scheduler"); change != settings.changes.end())
      scheduler = json::parse(change->second);
    scheduler["prediction_type"] = settings.prediction;
    settings.changes["scheduler"] = scheduler.dump();
  }
  return settings;
}

}  // namespace emulsion

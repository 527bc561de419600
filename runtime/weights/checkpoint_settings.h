#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "weights/checkpoint.h"

namespace emulsion {

// What a user says of a single file, over all that the file itself tells.
struct CheckpointSettings {
  std::optional<Family> family;
  std::string prediction;                      // empty: not said
  std::map<std::string, std::string> changes;  // to the configs of parts: JSON objects
};

// "model.emulsion.json" beside "model.safetensors".  [any thread]
std::filesystem::path settings_beside(const std::filesystem::path& file);

// "model.tokenizer" for the part "tokenizer": a folder with the vocabulary of this file alone.
// [any thread]
std::filesystem::path tokenizer_beside(const std::filesystem::path& file, const std::string& part);

// "sd1": what settings call a family that is known.  [any thread]
std::string settings_name(Family family);

// Empty where there is no such file.  Throws WeightError when it is not of this form:
// {"family": "sd1", "prediction": "v_prediction", "vae": {"scaling_factor": 0.2}}.  [any thread]
CheckpointSettings read_checkpoint_settings(const std::filesystem::path& file);

}  // namespace emulsion

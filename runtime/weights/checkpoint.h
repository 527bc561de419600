#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "weights/safetensors.h"

namespace emulsion {

struct CheckpointSettings;

enum class Family : std::uint8_t { Unknown, StableDiffusion1, StableDiffusion2, Sdxl, SdxlRefiner };

std::string to_text(Family family);  // "Stable Diffusion 1"

// What the UNet was trained to give, and how that is known.
struct FoundPrediction {
  // "epsilon", "v_prediction", "sample", or "edm", which diffusers' SDXL code lacks
  std::string type;
  std::string reason;     // for people
  bool zero_snr = false;  // trained up to pure noise
};

// One part of a model in a file, its tensors under diffusers' names.
struct CheckpointPart {
  std::string prefix;  // of its tensors in the file: "model.diffusion_model."
  StoredTensors tensors;
  std::vector<std::string> unneeded, unknown;  // with the prefix
};

// A single file, told apart by the names and shapes of its tensors.  Immutable.  [any thread]
struct Checkpoint {
  std::shared_ptr<const TensorFile> file;
  Family family = Family::Unknown;
  FoundPrediction prediction;
  std::map<std::string, CheckpointPart> parts;  // by diffusers' names: "unet", "text_encoder_2"
  std::vector<std::string> unneeded, unknown;   // of no part
  std::map<std::string, std::string> changes;   // to configs, by part, as its settings say

  bool has(const std::string& part) const { return parts.contains(part); }
};

// Told by the shapes and the prefixes of its parts.  [any thread]
Family family_of(const Checkpoint& checkpoint);

// Reads the header, the settings beside it (checkpoint_settings.h), and for Stable Diffusion 2 one
// small tensor.  Throws WeightError when the file is damaged, or a tensor does not have the shape
// that its name asks for.  [any thread]
Checkpoint read_checkpoint(const std::filesystem::path& file);
// What the header of a file tells, which may be going to be written.
struct CheckpointHeader {
  std::filesystem::path path;
  StoredTensors tensors;
  std::map<std::string, std::string> metadata;
};

CheckpointHeader header_of(const TensorFile& file);

// The same of a header alone, with these settings: without `file`.  [any thread]
Checkpoint read_checkpoint(const CheckpointHeader& header, const CheckpointSettings& settings);

// A folder in diffusers' layout as if it were a file: the parts' tensors by their names, without a
// file.  Throws WeightError.  [any thread]
Checkpoint checkpoint_of_folder(const std::filesystem::path& model);

}  // namespace emulsion

#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "emulsion/value.h"
#include "weights/weight_change.h"

namespace emulsion {

// A file that changes a model's weights: a LoRA or one of its kin.  Immutable.  [any thread]
struct Adapter {
  std::filesystem::path file;
  std::string identity;  // as identity_of() tells
  // By part ("unet", "text_encoder_2") and weight ("conv_in.weight").
  std::map<std::string, std::map<std::string, WeightChange>> parts;
  std::vector<std::string> unmatched;   // tensors of the file that nothing took, sorted
  std::vector<std::string> embeddings;  // names of those that it bundles for prompts, sorted
};

// The tensors of a model's parts, as headers tell.
using PartTensors = std::map<std::string, std::map<std::string, TensorSpec>>;

// Matches the tensors of a safetensors file to those of the model.  `base` has diffusers' names,
// text encoders with or without `text_model.`, and all parts of the model that could be meant; its
// names come back in the result.  Of PEFT's files, alpha and rank are read from the file's metadata
// or from `adapter_config.json` beside it.  Maps the file; what is not aligned, or of another dtype
// than most, is copied.  Throws WeightError with one line that names file and tensor when it is
// damaged or no adapter, when pieces are missing or do not fit the model's shapes, and when nothing
// in it is of this model.  [any thread]
Adapter read_adapter(const std::filesystem::path& file, const PartTensors& base);

}  // namespace emulsion

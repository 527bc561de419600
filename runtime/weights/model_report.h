#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "emulsion/value.h"

namespace emulsion {

// What a model is, as its headers and configs tell.
struct ModelReport {
  struct Part {
    std::size_t tensors = 0;
    std::int64_t parameters = 0;
    Bytes bytes = 0;
    std::map<std::string, std::size_t> dtypes;  // tensors of each
  };

  std::string place;
  bool single_file = false;
  std::string family;                         // "Stable Diffusion 2"
  std::int64_t input_channels = 0;            // of the UNet; 9 for inpainting, 0 without one
  std::string prediction, prediction_reason;  // empty without a UNet
  std::map<std::string, Part> parts;          // with weights, by name
  std::vector<std::string> missing_parts;     // that the family has
  // Of a whole model by "tokenizer", "tokenizer_2": the folder that has it, empty: none.
  std::map<std::string, std::string> vocabularies;
  std::vector<std::string> unneeded, unknown;   // tensors of a single file
  std::map<std::string, std::string> metadata;  // of a single file
};

// `model` is what find_model() gives, `vocabularies` as for open_component().  Reads headers, and
// no weights but one small tensor.  Throws WeightError.  [any thread]
ModelReport report_of(const std::filesystem::path& model,
                      const std::vector<std::filesystem::path>& vocabularies = {});

std::string to_text(const ModelReport& report);  // for people
std::string to_json(const ModelReport& report);

}  // namespace emulsion

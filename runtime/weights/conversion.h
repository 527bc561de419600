#pragma once

#include <c10/core/ScalarType.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "weights/safetensors.h"
#include "weights/safetensors_writer.h"

namespace emulsion {

enum class ModelLayout : std::uint8_t { Folder, SingleFile };

// A tensor of a file, or a part of one.
struct TensorPiece {
  std::shared_ptr<const TensorFile> file;
  StoredTensor stored;
};

// A tensor to write: its pieces, one behind the other on the first axis.
struct ConvertedTensor {
  NamedSpec target;
  std::vector<TensorPiece> pieces;
};

struct ConvertedFile {
  std::filesystem::path path;            // below the target; empty: the target itself
  std::vector<ConvertedTensor> tensors;  // in the order in which they are written
  std::map<std::string, std::string> metadata;
};

// What a conversion is going to write.
struct Conversion {
  std::filesystem::path target;
  ModelLayout layout = ModelLayout::Folder;
  std::vector<ConvertedFile> weights;
  // Below the target, or beside it where it is a single file.
  std::map<std::filesystem::path, std::string> texts;
  std::map<std::filesystem::path, std::filesystem::path> copies;  // from where
  std::vector<std::string> notes;                                 // what is left out, a line each
};

// How `model`, which find_model() gave, becomes `target` in the layout, its floating tensors in
// `dtype`, or as they are.  `vocabularies` as for open_component().  Reads headers and configs.
// Throws WeightError when the model cannot be had in that layout, RunError when the target is there
// already, or what would stand beside it.  [any thread]
Conversion plan_conversion(const std::filesystem::path& model, const std::filesystem::path& target,
                           ModelLayout layout, std::optional<c10::ScalarType> dtype,
                           const std::vector<std::filesystem::path>& vocabularies = {});

// How a host takes part.
struct ConversionHooks {
  const std::atomic<bool>* cancelled = nullptr;
  std::function<void(std::int64_t done, std::int64_t tensors)> progress;
};

// Writes the target, whole or not at all, a few megabytes at a time.  Throws WeightError,
// Cancelled, and RunError where it cannot be written: at once where the disk has no room for it.
// [any thread]
void write_conversion(const Conversion& conversion, const ConversionHooks& hooks);

}  // namespace emulsion

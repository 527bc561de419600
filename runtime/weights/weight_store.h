#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "emulsion/weights.h"

namespace emulsion {

class MemoryMeter;
class SafetensorsFile;

// A component of a model whose headers have been read and checked; no tensor has been touched.
struct OpenComponent {
  std::shared_ptr<const Component> component;
  std::vector<std::shared_ptr<const SafetensorsFile>> files;  // one, several shards, or none
};

// Finds a model: a folder in diffusers' layout or a single .safetensors file, given as a path, or
// by name below one of `model_folders` (the shipped models).  Throws WeightError when there is
// none, the folder is empty, or it is something else (a pickle file and a hub id are told why not).
// [any thread]
std::filesystem::path find_model(const std::string& source,
                                 const std::vector<std::filesystem::path>& model_folders);

// Opens `<model>/<part>`: its config (config.json, scheduler_config.json or tokenizer_config.json),
// its safetensors file, or shards with an index, plain or of a variant such as ".fp16" (plain
// first), and its other files by name; or the same part of a single file, see
// checkpoint_component.h.  The part "model_index" is `<model>/model_index.json`, or "{}" where
// there is none.  `vocabularies` are folders with CLIP's vocabulary, for single files that have
// none beside them.  Throws WeightError.  [any thread]
OpenComponent open_component(const std::filesystem::path& model, const std::string& part,
                             const std::vector<std::filesystem::path>& vocabularies = {});

// What tells a component from every other, and from itself before its files were changed: paths,
// sizes, times and, where the system has them, inodes.  [any thread]
std::string identity_of(const OpenComponent& component);

// The tensors in the dtype of the run (floating ones; others keep theirs), without data.
std::shared_ptr<const WeightSet> header_of(const OpenComponent& component, c10::ScalarType dtype);

// True where tensors of these files need no copy in host memory: their floating ones have `dtype`.
bool is_mappable(const OpenComponent& component, c10::ScalarType dtype);

// Host memory that passing weights on takes besides themselves, where they can't be mapped.
inline constexpr Bytes kStagingBytes = 8 * kMiB;

// Which tensors to hold.  What is named nowhere stays in the file.
struct WeightSelection {
  std::vector<std::string> lasting;              // there as long as the set
  std::vector<std::vector<std::string>> blocks;  // there one at a time, in this order, cyclically
  bool prefetch = true;  // fetch the next block while one is worked with: two are there at a time
};

// Where to hold them.
struct WeightPlace {
  c10::Device device{c10::DeviceType::CPU};
  bool is_host = true;  // tensors may be views of mapped files; false for a logical device
  // Counts what is held: blocks of memory and mapped files.  It outlives the set.
  MemoryMeter* meter = nullptr;
};

// The tensors with data: mapped from the file without a copy where place, dtype and alignment
// allow, else converted tensor by tensor.  Blocks come through the set's stream.  Dropping the last
// handle of the set and of its tensors unmaps and frees.  Mappings of one file are shared by all
// sets of the process.  Throws WeightError, OutOfMemory.  [any thread]
std::shared_ptr<const WeightSet> load(const OpenComponent& component,
                                      const WeightSelection& selection, const WeightPlace& place,
                                      c10::ScalarType dtype);

// The same from tensors that are on another device; `source` stays as it is, and is kept while the
// result streams from it.  Throws OutOfMemory.  [any thread]
std::shared_ptr<const WeightSet> load(std::shared_ptr<const WeightSet> source,
                                      const WeightSelection& selection, const WeightPlace& place);

// Everything that is in the files, as lasting.
WeightSelection all_of(const OpenComponent& component);

// "conv_in.weight" of the first tensor with a NaN, or empty.  Reads all of them.
std::string first_nan(const WeightSet& weights);

}  // namespace emulsion

#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "emulsion/weights.h"

namespace emulsion {

class SafetensorsFile;

// A component of a model whose headers have been read and checked; no tensor has been touched.
struct OpenComponent {
  std::shared_ptr<const Component> component;
  std::vector<std::shared_ptr<const SafetensorsFile>> files;  // one, several shards, or none
};

// Finds a model: a folder in diffusers' layout, given as a path, or by name below one of
// `model_folders` (the shipped models).  Throws WeightError when there is none, it is empty, or it
// is something else (a single file and a hub id are named as not supported yet).  [any thread]
std::filesystem::path find_model(const std::string& source,
                                 const std::vector<std::filesystem::path>& model_folders);

// Opens `<model>/<part>`: its config (config.json, scheduler_config.json or tokenizer_config.json),
// its safetensors file, or shards with an index, plain or of a variant such as ".fp16" (plain
// first), and its other files by name.  Throws WeightError.  [any thread]
OpenComponent open_component(const std::filesystem::path& model, const std::string& part);

// The tensors in the dtype of the run (floating ones; others keep theirs), without data.
std::shared_ptr<const WeightSet> header_of(const OpenComponent& component, c10::ScalarType dtype);

// Bytes that load() makes resident on the device.
Bytes resident_bytes(const WeightSet& weights);

// The tensors with data: mapped from the file without a copy where device, dtype and alignment
// allow, else converted tensor by tensor.  Dropping the last handle of the set and of its tensors
// unmaps and frees.  Throws WeightError, OutOfMemory.  [any thread]
std::shared_ptr<const WeightSet> load(const OpenComponent& component, c10::Device device,
                                      c10::ScalarType dtype);

// Bytes of weights mapped by this process now; the CPU's allocator does not see them. [any thread]
Bytes mapped_bytes();

// "conv_in.weight" of the first tensor with a NaN, or empty.  Reads all of them.
std::string first_nan(const WeightSet& weights);

}  // namespace emulsion

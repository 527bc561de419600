#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "emulsion/weights.h"
#include "emulsion/work.h"
#include "weights/open_component.h"

namespace emulsion {

class MemoryMeter;

// Throws WeightError where the file is a pickle file by its name; `what` it was to be: "model".
// [any thread]
void refuse_pickle(const std::string& what, const std::string& file);

// The folder or file that `source` names, whatever it is: a path, or a name below one of
// `model_folders` (the shipped models).  [any thread]
std::optional<std::filesystem::path> existing_model(
    const std::string& source, const std::vector<std::filesystem::path>& model_folders);

// The same of a model: a folder in diffusers' layout or a single .safetensors file.  Throws
// WeightError when there is none, the folder is empty, or it is something else (a pickle file is
// told why not).  [any thread]
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

// True of a folder that holds config and weights of one part itself: "…/vae".  [any thread]
bool is_part_folder(const std::filesystem::path& place);

// Opens a part from elsewhere in the place of a model's own: from another model, from a folder of
// the part itself, or from a single file.  A file that does not tell its config, such as a VAE by
// itself, takes `own_config`, the model's own.  Throws WeightError.  [any thread]
OpenComponent open_replacement(const std::filesystem::path& place, const std::string& part,
                               const std::string& own_config);

// What tells a component from every other, and from itself before its files were changed: paths,
// sizes, times and, where the system has them, inodes.  [any thread]
std::string identity_of(const OpenComponent& component);

// The tensors without data, floating ones in the dtype of the run or what stands in for it (see
// weight_dtype.h); others keep theirs.  Their packing is the one that packing_of() tells.
std::shared_ptr<const WeightSet> header_of(const OpenComponent& component, c10::ScalarType dtype);

// Host memory that passing weights on takes besides themselves, where they can't be mapped.
inline constexpr Bytes kStagingBytes = 8 * kMiB;

// What bringing tensors into memory takes; those in `packed` may be packed there.
struct ReadCost {
  Bytes mapped = 0;         // of those that need no copy in host memory: they have the run's dtype
  Bytes staging = 0;        // host memory besides, at most
  Bytes changing = 0;       // of it, for tensors that are changed
  std::size_t changed = 0;  // tensors
  Work changes = {};        // to change them, and to read what they are changed by
};
// [any thread]
ReadCost read_cost(const OpenComponent& component, const std::vector<std::string>& names,
                   c10::ScalarType dtype, const WeightNames& packed = {});

// Which tensors to hold.  What is named nowhere stays in the file.
struct WeightSelection {
  std::vector<std::string> lasting;              // there as long as the set
  std::vector<std::vector<std::string>> blocks;  // there one at a time, in this order, cyclically
  bool prefetch = true;  // fetch the next block while one is worked with: two are there at a time
  WeightNames packed = {};  // of these, those that are left or made packed where they can be
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

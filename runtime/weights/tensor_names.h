#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What single-file checkpoints call tensors, and what diffusers and transformers call them.  Names
// here stand below the prefix of their part of the model: "input_blocks.0.0.weight".
namespace emulsion {

using TensorNames = std::vector<std::string>;

// A tensor under another name: all of one in a file, or one of `parts` equal parts of its first
// axis.
struct TensorAlias {
  std::string name;    // diffusers'
  std::string source;  // the file's
  int part = 0, parts = 1;
  bool transposed = false;
  bool pointwise = false;  // the file may have it as the weight of a 1x1 convolution, [C, C, 1, 1]
};

struct Renaming {
  std::vector<TensorAlias> tensors;
  TensorNames unneeded;  // known, and without a use: position_ids, logit_scale
  TensorNames unknown;
};

// Which units belong to which level is told by the names of the blocks that change the size.
// [any thread]
Renaming rename_ldm_unet(const TensorNames& names);
Renaming rename_ldm_vae(const TensorNames& names);
// OpenCLIP's text model, as transformers has it: all blocks, or (SD 2) without the last one and the
// projection.
Renaming rename_open_clip(const TensorNames& names);
Renaming rename_open_clip_penultimate(const TensorNames& names);
// Files that have diffusers' and transformers' names already.
Renaming keep_names(const TensorNames& names);

// A tensor of a single file, made of one of diffusers' or of several, one behind the other on the
// first axis.
struct ComposedTensor {
  std::string name;     // the file's
  TensorNames sources;  // diffusers'
  bool transposed = false;
  bool pointwise =
      false;  // the weight of a 1x1 convolution there, where diffusers has a linear one
};

struct Composition {
  std::vector<ComposedTensor> tensors;
  TensorNames unknown;
};

// The other way round, from diffusers' names of any age.  [any thread]
Composition compose_ldm_unet(const TensorNames& names);
Composition compose_ldm_vae(const TensorNames& names);
Composition compose_open_clip(const TensorNames& names);
// CLIP as transformers has it, which single files keep below another prefix.
Composition compose_clip(const TensorNames& names);

// The start of a name and what to put in its place.
using Swaps = std::vector<std::pair<std::string_view, std::string_view>>;

// `name` with the first swap whose start it has, which ends at a dot or where the name does; empty
// where it has none.
std::string swapped(std::string_view name, const Swaps& swaps);

// The same table, read from right to left.
Swaps reversed(Swaps swaps);

// What stands before the first dot, and what behind it.
std::pair<std::string_view, std::string_view> split_at_dot(std::string_view name);

// "12" as 12, or -1 where it is no number below a million.
int index_of(std::string_view digits);

}  // namespace emulsion

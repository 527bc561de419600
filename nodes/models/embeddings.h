#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace emulsion::models {

// Textual inversion (Gal et al. 2022): vectors that stand in a prompt instead of tokens.  A prompt
// names them as "embedding:name", after a file of a folder that the user gives, or after that file;
// a LoRA's file may have some bundled, under names of their own.

inline constexpr std::string_view kEmbeddingWord = "embedding:";

// Where an embedding is.
struct EmbeddingPlace {
  std::filesystem::path file;
  std::string prefix = {};  // of its tensors among others: "bundle_emb.name."
};

// "name.safetensors" in the folder; `place` itself where it is such a file, or has one of the name
// bundled.  None where there is nothing.  Throws GraphError where there is a pickle file of that
// name, the name leads out of the folder, or `place` is no safetensors file.  [any thread]
std::optional<EmbeddingPlace> find_embedding(const std::filesystem::path& place,
                                             const std::string& name);

// Tells what there is instead: throws GraphError.
[[noreturn]] void refuse_embedding(const std::filesystem::path& place, const std::string& name);

// How many tokens the vectors take the place of, for every text encoder alike.  Throws GraphError
// when there are none, or they differ.  [any thread]
std::int64_t embedding_length(const EmbeddingPlace& place);

// The vectors for a text encoder of a width, [k, D] in their own dtype.  A file for two encoders
// has them under `clip_l` and `clip_g`, which is the one with a projection; any other name is that
// of the only tensor of the width.  Throws GraphError.  [any thread]
at::Tensor read_embedding(const EmbeddingPlace& place, std::int64_t width, bool projects);

}  // namespace emulsion::models

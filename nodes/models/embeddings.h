#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace emulsion::models {

// Textual inversion (Gal et al. 2022): vectors that stand in a prompt instead of tokens.  A prompt
// names them as "embedding:name", after a file of a folder that the user gives.

inline constexpr std::string_view kEmbeddingWord = "embedding:";

// "name.safetensors" in the folder, or empty where there is none.  Throws GraphError where there is
// a pickle file of that name, or the name leads out of the folder.  [any thread]
std::filesystem::path find_embedding(const std::filesystem::path& folder, const std::string& name);

// Tells what there is instead: throws GraphError.
[[noreturn]] void refuse_embedding(const std::filesystem::path& folder, const std::string& name);

// How many tokens the vectors of the file take the place of, for every text encoder alike.  Throws
// GraphError when there are none, or they differ.  [any thread]
std::int64_t embedding_length(const std::filesystem::path& file);

// The vectors for a text encoder of a width, [k, D] in their own dtype.  A file for two encoders
// has them under `clip_l` and `clip_g`, which is the one with a projection; any other name is that
// of the only tensor of the width.  Throws GraphError.  [any thread]
at::Tensor read_embedding(const std::filesystem::path& file, std::int64_t width, bool projects);

}  // namespace emulsion::models

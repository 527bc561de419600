#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "weights/weight_store.h"

namespace emulsion {

// Opens a part of a single file: the component that a folder in diffusers' layout would have, its
// tensors where they are in the file.  Its config is the one beside the file ("unet/config.json"
// in the file's folder) if that is of the same sizes, else what names and shapes tell.  A
// tokenizer's vocabulary comes from beside the file ("model.tokenizer/", which has its config, too,
// or "tokenizer/"), from EMULSION_TOKENIZER's folder, or from the first of `vocabularies` that has
// one.  What by itself does not tell its
// config has `fallback_config`.  Throws WeightError.  [any thread]
OpenComponent open_checkpoint_part(const std::filesystem::path& file, const std::string& part,
                                   const std::vector<std::filesystem::path>& vocabularies = {},
                                   const std::string& fallback_config = {});

}  // namespace emulsion

#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "weights/checkpoint.h"

namespace emulsion {

// The settings (checkpoint_settings.h) with which the parts of a single file have the configs that
// those of `model` have, a folder or a file, as far as a run reads them.  Empty where names, shapes
// and metadata tell everything.  `file`: the header that the file is going to have.
// `vocabularies` as for open_component().  Throws WeightError.  [any thread]
std::string settings_to_keep(const std::filesystem::path& model, const CheckpointHeader& file,
                             const std::vector<std::filesystem::path>& vocabularies);

}  // namespace emulsion

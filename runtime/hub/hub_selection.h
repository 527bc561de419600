#pragma once

#include <string>
#include <vector>

#include "hub/hub_id.h"
#include "hub/hub_listing.h"

namespace emulsion {

// Which weights to take where a repository has several of the same: half the bytes, or all digits.
enum class Precision { Half, Full };

inline constexpr const char* kModelIndex = "model_index.json";

// The parts that a model_index.json names and a graph can use; "", where it is none.
// Throws WeightError, whose message begins with `place`.  [any thread]
std::vector<std::string> parts_of(const std::string& model_index, const std::string& place);

// What a model in diffusers' layout takes, kModelIndex last: each part's configs and vocabularies,
// and its weights in one variant, as safetensors.  Throws WeightError where a part has weights of
// other formats only.  [any thread]
std::vector<HubFile> select_model(const HubListing& listing, const std::string& model_index,
                                  Precision precision, const HubId& id);

// The checkpoint that `id` names, last, and what is beside it in folders of parts, but for weights.
// Throws WeightError where there is no such file.  [any thread]
std::vector<HubFile> select_checkpoint(const HubListing& listing, const HubId& id);

}  // namespace emulsion

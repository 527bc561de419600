#pragma once

#include <array>
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

// The files of an adapter that is a folder or a repository of its own: as diffusers saves it, and
// as PEFT does, with its config beside it.
inline constexpr std::array kAdapterFiles = {"pytorch_lora_weights.safetensors",
                                             "adapter_model.safetensors"};
inline constexpr const char* kAdapterConfig = "adapter_config.json";

// What a repository has that is no model in diffusers' layout: a part of one (a VAE), whose config
// and weights are not in a folder; or an adapter; or the only .safetensors file.  Throws
// WeightError where it is none of these, naming a file that could be meant.  [any thread]
std::vector<HubFile> select_other(const HubListing& listing, Precision precision, const HubId& id);

// The checkpoint or adapter that `id` names, last, and what is beside it: its settings, and what is
// in folders of parts, but for weights.
// Throws WeightError where there is no such file.  [any thread]
std::vector<HubFile> select_checkpoint(const HubListing& listing, const HubId& id);

}  // namespace emulsion

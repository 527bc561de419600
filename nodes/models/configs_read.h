#pragma once

#include <string>
#include <vector>

#include "models/config_json.h"
#include "models/configs.h"

// What the readers of configs share.  [any thread]
namespace emulsion::models {

// Throws WeightError unless `key` is absent, null, or one of `supported`.
void expect_text(const ConfigJson& json, const std::string& key,
                 const std::vector<std::string>& supported, const std::string& hint = {});

// Throws WeightError, with `what` the model is, unless `key` is absent, null or false.
void expect_absent(const ConfigJson& json, const std::string& key, const std::string& what);

// A whole number of at least `least`, and no larger than any model's.
std::int64_t count(const ConfigJson& json, const std::string& key, std::int64_t fallback,
                   std::int64_t least = 1);

// `key` as an activation of diffusers ("silu", "swish", "gelu", …).
Activation read_activation(const ConfigJson& json, const std::string& key,
                           const std::string& fallback);

// Channels of each level, outermost first: one at least, each a multiple of the norm's groups.
std::vector<std::int64_t> read_channels(const ConfigJson& json, const NormConfig& norm,
                                        const std::vector<std::int64_t>& fallback);

}  // namespace emulsion::models

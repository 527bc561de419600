#pragma once

#include "emulsion/node.h"
#include "models/unet.h"

// What a step's two conditions are, and whether they fit the UNet.
namespace emulsion::conditions {

// True where both fit in one batch: repeating one gives as many tokens as the other has.
bool can_batch(std::int64_t negative, std::int64_t positive);

// Tokens of the condition at `port`.  Throws GraphError where there is none, WeightError where it
// was made for another UNet.
std::int64_t tokens_of(const ForecastContext& context, const char* port,
                       const models::UnetConfig& config);

// That two conditions with so many tokens take side by side.
Bytes bytes(const ForecastContext& context, const models::UnetConfig& config, std::int64_t tokens);

// One for all samples: [1, S, D], [1, P], [1, n]
models::UnetCondition condition_of(const RunContext& context, const char* port);

std::int64_t tokens_of(const models::UnetCondition& condition);

// Both of them, for B samples each, the negative ones first: [2, S, D], [2 B, P], [2 B, n]
models::UnetCondition batched(const models::UnetCondition& negative,
                              const models::UnetCondition& positive, std::int64_t batch);

}  // namespace emulsion::conditions

#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "models/cost.h"

// DeepCache (Ma et al. 2023, arXiv 2312.00858): what a UNet keeps of one evaluation for the next
// ones.  [any thread]
namespace emulsion::models {

// The map that meets skip connection `branch` on the way up.  Branch 0 is the outermost one, from
// conv_in.  What lies outside of the map is evaluated in any case: on the way up branch + 1 units.
struct DeepFeatures {
  std::int64_t branch = 0;
  at::Tensor map;  // [B, C, H, W]; undefined: not there yet
};

// The map's shape.  Throws GraphError where the UNet has no such branch.
TensorSpec deep_features_spec(const UnetConfig& config, const MapBatch& latent, std::int64_t branch,
                              c10::ScalarType dtype);

// The share of the blocks' bytes that lies outside of the map.
double share_outside(const UnetConfig& config, const WeightView& weights, std::int64_t branch);

}  // namespace emulsion::models

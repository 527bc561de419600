#pragma once

#include <ATen/ops/randn.h>

#include <memory>

#include "emulsion/weights.h"

namespace emulsion::fakes {

inline Weight random_weight(const std::vector<std::int64_t>& shape, c10::ScalarType dtype) {
  return {{shape, dtype}, at::randn(shape).mul(0.1).to(dtype)};
}

// A branch for a linear layer's or a convolution's weight.
inline Branch random_branch(const Weight& weight, std::int64_t rank, double scale) {
  std::vector<std::int64_t> down = weight.spec.shape, up(weight.spec.shape.size(), 1);
  up[0] = down[0];
  up[1] = down[0] = rank;
  return {random_weight(down, weight.spec.dtype), random_weight(up, weight.spec.dtype), scale};
}

// The same weights with a branch beside each that a layer multiplies with.
inline std::shared_ptr<const WeightSet> with_random_branches(const WeightSet& weights,
                                                             std::int64_t rank) {
  auto set = std::make_shared<WeightSet>(weights);
  for (const auto& [name, weight] : weights.weights)
    if (name.ends_with(".weight") && weight.spec.shape.size() % 2 == 0)
      set->branches[name].push_back(random_branch(weight, rank, 0.5));
  return set;
}

}  // namespace emulsion::fakes

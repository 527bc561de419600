#include <algorithm>

#include "models/cost.h"

namespace emulsion::models {
namespace {

BranchLoad::Kind load_of(const WeightView& view, std::size_t dimensions) {
  const WeightSet& set = view.set();
  BranchLoad::Kind kind;
  double weights = 0, beside = 0, parameters = 0, count = 0;
  for (const auto& [name, weight] : set.weights) {
    if (!name.ends_with(".weight") || weight.spec.shape.size() != dimensions) continue;
    weights += 1;
    parameters += static_cast<double>(weight.spec.count());
    if (weight.packing != Packing::None && view.use().packed.contains(name))
      kind.packed += static_cast<double>(weight.spec.count());
    const auto found = set.branches.find(name);
    if (found == set.branches.end()) continue;
    for (const Branch& branch : found->second) {
      count += 1;
      beside += static_cast<double>(branch.down.spec.count() + branch.up.spec.count());
      kind.rank = std::max(kind.rank, branch.down.spec.shape.front());
    }
  }
  if (weights == 0) return kind;
  kind.parameters = beside / parameters;
  kind.packed /= parameters;
  kind.count = count / weights;
  return kind;
}

}  // namespace

// As if each layer had its share of all, so that costs need no names.
BranchLoad branch_load(const WeightView& weights) {
  constexpr std::size_t kMatrix = 2, kKernel = 4;
  return {load_of(weights, kMatrix), load_of(weights, kKernel)};
}

}  // namespace emulsion::models

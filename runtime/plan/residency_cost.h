#pragma once

#include <vector>

#include "plan/residency.h"

namespace emulsion {

// What an assignment and its weights take: the sums that the search is about.

using Usage = std::vector<std::vector<Bytes>>;  // by device, by position

// Without any weights: values and workspace.
Usage base_usage(const PlacementProblem& problem, const Assignment& assignment);
double base_seconds(const PlacementProblem& problem, const Assignment& assignment);

// What one component's weights on one device add to it: bytes, and seconds for loads and waits.
void add_weights(const PlacementProblem& problem, const Residency& weights, Usage& usage);
double cost_of(const PlacementProblem& problem, const Assignment& assignment,
               const Residency& weights);

}  // namespace emulsion

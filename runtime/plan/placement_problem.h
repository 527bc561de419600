#pragma once

#include "plan/execution_plan.h"
#include "plan/placement.h"
#include "plan/timeline.h"

namespace emulsion {

// Iterations that a loop is taken to have where only the run will tell.
inline constexpr double kAssumedIterations = 20;

// The question that a graph and its forecasts put.  Its values are those of the graph, by ValueId;
// what the timeline does not make or take has no bytes and no reads.  Throws PlanError where the
// profile leaves a node no device.
PlacementProblem make_problem(const Graph& graph, const Forecasts& forecasts,
                              const PlanRequest& request, const Timeline& timeline);

}  // namespace emulsion

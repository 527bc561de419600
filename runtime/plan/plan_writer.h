#pragma once

#include "plan/execution_plan.h"
#include "plan/placement_search.h"
#include "plan/timeline.h"

namespace emulsion {

// Everything that has been decided about a graph.
struct Decision {
  const Graph& graph;
  const Forecasts& forecasts;
  const PlanRequest& request;
  const Timeline& timeline;
  const PlacementProblem& problem;
  const Placement& placement;
};

// Writes a decision out as steps.  Between two runs come, in this order: weights leave, values are
// copied, values are freed, weights are loaded.
ExecutionPlan write_plan(const Decision& decision);

}  // namespace emulsion

#pragma once

#include "exec/executor.h"

namespace emulsion {

// Executes `plan`, which make_plan() gave for `request`.  Where a device runs out of memory, what
// is still needed goes to the host, all weights are dropped, and the rest is planned again within
// less of that device, from the last finished node or iteration, with a line through
// `options.warn`; what is computed stays the same.  Throws as execute() does; OutOfMemory where
// nothing was finished since the last failure, or where nothing leaner can be planned.
// [one thread]
Outputs execute_recovering(ExecutionPlan plan, PlanRequest request, const Forecasts& forecasts,
                           const Program& program, RunState& state, const RunOptions& options);

// Brings everything that is still needed to the host, lets go of the rest, and tells from where
// the run can go on.  Throws OutOfMemory.
StartingPoint retreat(const Graph& graph, RunState& state);

}  // namespace emulsion

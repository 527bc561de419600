#pragma once

#include <string>
#include <vector>

#include "exec/warm_state.h"

namespace emulsion {

struct PlannedRequest {
  RequestSetup setup;
  PlanRequest request;  // with what is there
  ExecutionPlan plan;
};

// The plan of a run that finds nothing there.  Throws GraphError, PluginError, WeightError,
// PlanError.
PlannedRequest plan_request(const Request& request, const BoundGraph& bound, const Notice& notice);

struct WarmRun {
  Outputs outputs;  // that count in no budget any more
  RunReport report;
  std::vector<std::string> written;  // outputs that hold the names of written files
};

// Runs a request with what is there of earlier ones, and leaves what it keeps.  Throws as
// plan_request() and execute_recovering() do.  [one thread at a time per state]
WarmRun run_warm(const Request& request, const BoundGraph& bound, WarmState& warm,
                 const RunOptions& options);

}  // namespace emulsion

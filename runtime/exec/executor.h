#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "exec/run_report.h"
#include "exec/run_state.h"
#include "plan/execution_plan.h"
#include "weights/weight_store.h"

namespace emulsion {

// Where a run stands; told before each node and after each iteration.
struct RunProgress {
  std::string node;             // about to run; empty after an iteration
  std::int64_t iteration = 0;   // finished ones of the loop that is running
  std::int64_t iterations = 0;  // 0 outside a loop
  double seconds_left = 0;      // of this loop, from the iterations so far; 0 while unknown
};

struct RunOptions {
  const std::atomic<bool>* cancelled = nullptr;
  std::function<void(const RunProgress&)> progress;   // [run thread]
  std::function<void(const std::string& line)> warn;  // [run thread]
  std::function<void(const Step&)> before_step;       // what it throws ends the run  [run thread]
};

// What is run.  All of it outlives the run.
struct Program {
  const Graph& graph;
  const Nodes& nodes;
  const std::vector<OpenComponent>& components;  // by ComponentId
};

using Outputs = std::map<std::string, Value>;  // of the graph, on the host

// Does what the plan says and decides nothing.  Goes on from what `state` holds, and leaves there
// what the plan does not let go of.  Throws RunError (a node failed, OutOfMemory, Cancelled) and
// WeightError, each naming its place.  [one thread]
Outputs execute(const ExecutionPlan& plan, const Program& program, RunState& state,
                const RunOptions& options);

}  // namespace emulsion

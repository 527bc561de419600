#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "graph/graph.h"
#include "plan/execution_plan.h"

namespace emulsion {

// What of a graph is to be run, in running order.  Positions count the node runs, each loop's body
// once.  Nodes that nothing asks for, and those whose results are there already, have none.
struct Timeline {
  struct Span {
    std::size_t begin = 0, end = 0;  // positions, half open; empty for a loop that is not run
  };
  std::vector<NodeId> runs;                         // by position
  std::vector<std::optional<LoopId>> loop_at;       // by position
  std::vector<Span> loops;                          // by LoopId
  std::vector<std::optional<std::size_t>> made_at;  // by ValueId: the position of its node
  std::vector<bool> given;                          // by ValueId: on the host before the first run
};

// What the outputs of the graph need, nodes with effects, and what these need in turn.
Timeline make_timeline(const Graph& graph, const StartingPoint& start = {});

}  // namespace emulsion

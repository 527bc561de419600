#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "graph/graph.h"

namespace emulsion {

// Positions count the node runs of a graph in running order, each loop's body once.

struct LoopSpan {
  std::size_t first = 0, last = 0;  // positions, inclusive
};

// The positions, inclusive, at which a value takes up memory.  Empty where last < first.
struct Lifetime {
  std::size_t first = 0, last = 0;

  bool covers(std::size_t position) const { return first <= position && position <= last; }
};

// When everything happens.  Plain data, made from a graph alone.
struct Timeline {
  std::vector<NodeId> runs;                    // by position
  std::vector<std::optional<LoopId>> loop_at;  // by position
  std::vector<LoopSpan> loops;                 // by LoopId
  std::vector<Lifetime> lifetimes;             // by ValueId
};

// Values that outer nodes made live through a whole loop that reads them.  A carry takes its first
// value over, so that this one's own life ends before the loop unless others read it.
Timeline make_timeline(const Graph& graph);

}  // namespace emulsion

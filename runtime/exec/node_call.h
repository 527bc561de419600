#pragma once

#include <map>
#include <string>

#include "emulsion/node.h"
#include "graph/graph.h"

namespace emulsion {

// Runs one node, with autograd off, and gives its outputs.  Whatever it throws comes out as an
// Error that names the node, and so does an output that is missing.  [run thread]
RunContext::Values call_node(const GraphNode& node, const Node& code, RunContext& context);

// Throws where an output holds NaN: WeightError with the first weight that does, since a damaged
// file is the usual reason, else RunError.  [run thread]
void check_no_nan(const GraphNode& node, const RunContext& context,
                  const RunContext::Values& outputs);

}  // namespace emulsion

#pragma once

#include <map>
#include <string>

#include "emulsion/node.h"
#include "graph/graph.h"

namespace emulsion {

// Runs one node, with autograd off, and gives its outputs.  Whatever it throws comes out as an
// Error that names the node.  An output that is missing is the plug-in's fault; one with NaN is
// traced to the first weight with NaN, since a damaged file is the usual reason.  [run thread]
RunContext::Values call_node(const GraphNode& type, const Node& node, RunContext& context);

}  // namespace emulsion

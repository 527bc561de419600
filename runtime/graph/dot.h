#pragma once

#include <string>

#include "graph/graph.h"

namespace emulsion {

// The graph in Graphviz' language: a box for each node, a cluster for each loop, in which an
// ellipse stands for each carry.  [any thread]
std::string to_dot(const Graph& graph);

}  // namespace emulsion

#pragma once

#include <string>
#include <vector>

#include "emulsion/session.h"
#include "graph/graph.h"
#include "graph/node_catalog.h"

namespace emulsion {

// A request's graph with its inputs and files.  Immutable.
struct BoundGraph {
  Graph graph;                       // only the outputs that are wanted
  std::vector<std::string> written;  // outputs that hold the names of written files
};

// Throws GraphError, PluginError.
BoundGraph bind_graph(const Request& request, const NodeCatalog& catalog);

// What the graph names that may lie on the hub, each once: models, their parts, adapters, and files
// that nodes read.
std::vector<std::string> sources_of(const Graph& graph);

// Gives files that nodes read by hub ids their places in the hub's cache.  Throws WeightError where
// they are not there.
void locate_files(Graph& graph);

}  // namespace emulsion

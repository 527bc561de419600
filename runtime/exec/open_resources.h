#pragma once

#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "weights/weight_store.h"

namespace emulsion {

// An adapter that a graph uses.
struct UsedAdapter {
  std::string source;  // as the graph names it
  std::string resource;
  double strength = 1;
  std::shared_ptr<const Adapter> adapter;
};

struct OpenResources {
  std::vector<OpenComponent> components;  // by ComponentId, with their resources' changes
  std::vector<UsedAdapter> adapters;
};

// Opens all components of a graph as their resources are made; of adapters all tensors are mapped,
// of models only headers are read.  Throws WeightError: what open_component() and read_adapter()
// throw, models that cannot be merged, factors of blocks that the model does not have.
OpenResources open_resources(const Graph& graph);

}  // namespace emulsion

#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "graph/graph.h"
#include "graph/graph_spec.h"
#include "graph/node_catalog.h"

namespace emulsion {

// What an input without a value means, where something needs one.
enum class Unset : std::uint8_t {
  IsFault,  // to plan and to run
  IsFine    // to check and to draw: a parameter keeps its default, a port gets an empty constant
};

// Turns a document into a graph whose inputs have `values` (or their defaults).  Throws one
// GraphError with every fault, a line each: "sd21.json: /nodes/unet/in/latent: node 'unet': what:
// expected, got; what to do".  [any thread]
Graph validate(const GraphSpec& spec, const NodeCatalog& catalog,
               const std::map<std::string, Param>& values, Unset unset = Unset::IsFault);

}  // namespace emulsion

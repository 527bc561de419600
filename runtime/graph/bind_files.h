#pragma once

#include <string>

#include "graph/graph_spec.h"
#include "graph/node_catalog.h"

namespace emulsion {

// Adds a node "write_<output>", of the first type in the catalog that writes files of the path's
// ending (in any case) from the output's type, and with a 'path' parameter.  What the node gives
// becomes an output of the graph, "write_<output>", whose name is returned; empty when the node
// gives nothing.  Where the document's own output is faulty nothing is added, and validate() will
// say why.  Throws GraphError: unknown output, no node writes the ending.  [any thread, on its own
// spec]
std::string bind_output_file(GraphSpec& spec, const NodeCatalog& catalog, const std::string& output,
                             const std::string& path);

// Adds a node "read_<input>" that gives the file, and connects all that refers to "$<input>" to
// it.  Throws GraphError: unknown input, one that is not an image or a latent, no node reads the
// ending.  [any thread, on its own spec]
void bind_input_file(GraphSpec& spec, const NodeCatalog& catalog, const std::string& input,
                     const std::string& path);

}  // namespace emulsion

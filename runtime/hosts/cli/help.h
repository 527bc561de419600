#pragma once

#include <string>

#include "emulsion/session.h"

namespace emulsion::cli {

// `emulsion run GRAPH --help`: what can be set on the graph, and what it gives.
std::string graph_help(const GraphDescription& graph);

// What --profile takes: a line each.
std::string profile_list(const Session& session);

// `emulsion nodes`: a line a type.
std::string node_list(const Session& session);

// `emulsion nodes ID`: ports, parameters, slots, variants, source.  Throws GraphError on an
// unknown id.
std::string node_help(const Session& session, const std::string& id);

// Both as JSON; an empty id means all.
std::string nodes_json(const Session& session, const std::string& id);

}  // namespace emulsion::cli

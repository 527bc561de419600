#pragma once

#include <filesystem>

#include "emulsion/session.h"
#include "graph/node_catalog.h"

namespace emulsion {

// Session::pull.  Throws GraphError where the request names no hub id, WeightError, Cancelled.
std::filesystem::path pull_model(const PullRequest& request, const Callbacks& callbacks);

// Downloads the models that the request's graph names by hub ids, as far as the hub's cache lacks
// them: in half precision unless the run is in float32.  Throws as pull_model() does, PluginError.
void fetch_models(const Request& request, const NodeCatalog& catalog, const Callbacks& callbacks);

}  // namespace emulsion

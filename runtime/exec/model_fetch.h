#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "emulsion/session.h"

namespace emulsion {

// Session::pull.  Throws GraphError where the request names no hub id, WeightError, Cancelled.
std::filesystem::path pull_model(const PullRequest& request, const Callbacks& callbacks);

// Downloads those of a run's sources that are hub ids, as far as the hub's cache lacks them: in
// half precision unless the run is in float32.  Throws as pull_model() does.
void fetch_sources(const Request& request, const std::vector<std::string>& sources,
                   const Callbacks& callbacks);

}  // namespace emulsion

#pragma once

#include <string>
#include <vector>

#include "emulsion/session.h"
#include "exec/executor.h"
#include "exec/open_resources.h"
#include "exec/speed_file.h"
#include "graph/node_catalog.h"

namespace emulsion {

// A request with all that is checked and known before the planner has its say.  Immutable.
struct RequestSetup {
  Graph graph;                       // with its files bound, and only the outputs that are wanted
  std::vector<std::string> written;  // outputs that hold the names of written files
  Nodes nodes;
  std::vector<OpenComponent> components;  // by ComponentId
  std::vector<UsedAdapter> adapters;
  Forecasts forecasts;
  PlanRequest plan;  // as if nothing were there

  Program program() const { return {graph, nodes, components}; }
};

// The dtypes to try, in this order, until a plan fits: what is asked for; with "auto" on a host
// without fast half types, the half type after it.
std::vector<c10::ScalarType> dtypes_of(const Request& request);

// What the nodes ask for, and what bringing it into memory takes.
Forecasts forecast_of(const Graph& graph, const Nodes& nodes,
                      const std::vector<OpenComponent>& components, c10::ScalarType dtype);

// The sources of the models that the request's graph uses, each once.  Throws GraphError,
// PluginError.
std::vector<std::string> model_sources(const Request& request, const NodeCatalog& catalog);

// All that adapters change is applied to the weights, see adapter_forms.h.  Throws GraphError,
// PluginError, WeightError, PlanError.
RequestSetup set_up(const Request& request, const NodeCatalog& catalog, c10::ScalarType dtype,
                    const Notice& notice);

}  // namespace emulsion

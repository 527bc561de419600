#pragma once

#include <string>
#include <vector>

#include "emulsion/session.h"
#include "exec/bound_graph.h"
#include "exec/executor.h"
#include "exec/open_resources.h"
#include "exec/speed_file.h"

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

// All that adapters change is applied to the weights, see adapter_forms.h.  Throws GraphError,
// PluginError, WeightError, PlanError.
RequestSetup set_up(const Request& request, const BoundGraph& bound, c10::ScalarType dtype,
                    const Notice& notice);

}  // namespace emulsion

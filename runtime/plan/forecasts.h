#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "emulsion/node.h"
#include "graph/graph.h"
#include "plan/device.h"

namespace emulsion {

struct VariantForecast {
  std::string variant;
  Bytes workspace = 0;
  Work work = {};
  double passes = 1;        // through the blocks of its weights
  Bytes cpu_workspace = 0;  // what a CPU takes more, or less
  Bytes memo = 0;           // that stays from one iteration of a loop to the next

  Bytes workspace_on(const DeviceBudget& device) const {
    return workspace + (device.computes_on_cpu() ? cpu_workspace : 0);
  }
};

// The weights of a component that the nodes of a graph ask for, in the dtype of the run.
struct ComponentForecast {
  Bytes bytes = 0;
  WeightUse use;              // nodes that cut them into different blocks: all of it lasting
  std::vector<Bytes> blocks;  // bytes of use.blocks
  Bytes mapped = 0;           // that the files hold as they are: the host takes them without a copy
  Bytes staging = 0;          // host memory that reading the others takes besides
  Bytes changing = 0;         // of it, what changing tensors on the way takes
  Work changes = {};          // that the host does for that, in float32
  std::size_t changed = 0;    // tensors
};

// All that is known before the run of what a graph will compute, by the ids of the graph.
struct Forecasts {
  std::vector<ValueSpec> values;                        // by ValueId
  std::vector<std::vector<VariantForecast>> variants;   // by NodeId, fastest first
  std::vector<ComponentForecast> components;            // by ComponentId; empty where none load
  std::vector<std::optional<std::int64_t>> iterations;  // by LoopId, where it is known
  c10::ScalarType dtype = c10::ScalarType::Float;
};

// The nodes of a graph, by NodeId.
using Nodes = std::vector<std::unique_ptr<const Node>>;

// Makes the nodes; loads the plug-ins that they come from.  Throws GraphError, PluginError.
Nodes make_nodes(const Graph& graph);

// True where some node needs the tensors of the component, and not its config alone.
std::vector<bool> components_with_weights(const Graph& graph);

// Whose tensors a node needs, each once: those of its slots, and what lies beside them.
std::vector<ComponentId> components_of(const Graph& graph, const GraphNode& node);

// Asks each node in running order for its shapes and bytes.  `components` are by ComponentId, with
// header-only weights; whoever knows the files sets `mapped` and what stands behind it.  Every
// fault names its node.  Throws GraphError, WeightError, PlanError.
Forecasts forecast(const Graph& graph, const Nodes& nodes, const std::vector<Slot>& components,
                   c10::ScalarType dtype);

// What the slots of a node are bound to.
Site site_of(const GraphNode& node, const std::vector<Slot>& components, const std::string& variant,
             c10::ScalarType dtype);

}  // namespace emulsion

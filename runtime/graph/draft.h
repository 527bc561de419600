#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "graph/faults.h"
#include "graph/graph.h"
#include "graph/graph_spec.h"
#include "graph/node_catalog.h"
#include "graph/validate.h"

namespace emulsion {

// Where a value is made.
struct Origin {
  Item item;                   // of the outer order
  std::optional<NodeId> body;  // for a node inside of `item`
};

struct InputState {
  const GraphInput* input = nullptr;
  std::optional<Param> value;  // given, or the default
  bool reported = false;       // that it has no value
};

// A graph in the making, which only validate() and its passes see.  Ids stand in the order of the
// document, so that a spec and what became of it are found by position.
struct Draft {
  const GraphSpec& spec;
  const NodeCatalog& catalog;
  Unset unset;
  Faults faults;
  Graph graph = {};
  std::map<std::string, Item> names = {};                  // outside of loops
  std::vector<std::map<std::string, NodeId>> bodies = {};  // by LoopId: names of its body alone
  std::vector<Origin> origins = {};                        // by ValueId
  std::map<std::string, InputState> inputs = {};
  std::map<std::string, ResourceId> resources = {};  // by name; faulty ones are empty checkpoints
  std::set<ValueId> absent_first = {};               // carries without a value to start from
};

// The passes, in their order.  Each adds faults and goes on.
void take_values(Draft& draft, const std::map<std::string, Param>& values);
void take_resources(Draft& draft);
void declare(Draft& draft);  // names, nodes, loops and values; no wires yet
void connect(Draft& draft);  // parameters, slots and wires
void put_in_order(Draft& draft);

// What asks for a value, for messages and for the rules of its place.
struct Asker {
  std::string path;
  std::string who;                    // "node 'denoise.unet', input 'latent'"
  std::optional<LoopId> inside = {};  // the loop whose body it stands in
  bool optional = false;              // may stay without
};

// The value that a wire leads to; nothing where that is a fault, or follows from one.
std::optional<ValueId> value_at(Draft& draft, const WireRef& wire, const Asker& asker);

// What feeds a port of the type; nothing where it is left out or faulty.
std::optional<Operand> operand_at(Draft& draft, const Term& term, const PortType& type,
                                  const Asker& asker);

// The input of that name; null, and a fault, when there is none, or it has been reported.
InputState* input_at(Draft& draft, const InputRef& ref, const Asker& asker);

// Reports, once for each input, that it has no value.
void report_unset(Draft& draft, InputState& state, const Asker& asker);

// Fills in all parameters and slots of a node.
void set_params(Draft& draft, const NodeSpec& spec, GraphNode& node);
void set_slots(Draft& draft, const NodeSpec& spec, GraphNode& node);

// "latent [B, 4, H/8, W/8], float32"; of a scalar, its name says all.
std::string type_text(const PortType& type);

// "'encode.condition'"
std::string wire_text(const WireRef& wire);

// "node 'denoise.unet'"
std::string who_is(const GraphNode& node);

template <class Spec>
std::vector<std::string> names_of(const std::vector<Spec>& specs) {
  std::vector<std::string> names;
  for (const Spec& spec : specs) names.push_back(spec.name);
  return names;
}

}  // namespace emulsion

#include <utility>

#include "graph/draft.h"

namespace emulsion {
namespace {

ValueId add_value(Draft& draft, std::string name, const PortType& type, const Origin& origin) {
  draft.graph.values.push_back({std::move(name), type});
  draft.origins.push_back(origin);
  return ValueId(static_cast<std::uint32_t>(draft.graph.values.size() - 1));
}

std::vector<std::string> type_names(const NodeCatalog& catalog) {
  std::vector<std::string> names;
  for (const auto& [id, type] : catalog) names.push_back(id);
  return names;
}

// `loop` is the one whose body the node is in, `scope` its name and a dot.
NodeId add_node(Draft& draft, const NodeSpec& spec, std::optional<LoopId> loop,
                const std::string& scope) {
  const NodeId id{static_cast<std::uint32_t>(draft.graph.nodes.size())};
  GraphNode node;
  node.name = scope + spec.name;
  node.place = str(draft.spec.file, ": node '", node.name, "'");
  const auto found = draft.catalog.find(spec.type);
  if (found != draft.catalog.end())
    node.type = found->second;
  else if (!spec.type.empty())
    draft.faults.add(spec.path + "/type", who_is(node), ": unknown node type",
                     expected_one_of(type_names(draft.catalog), spec.type));
  const Origin origin = loop ? Origin{*loop, id} : Origin{id, {}};
  if (node.type != nullptr)
    for (const PortSpec& port : node.type->outputs)
      node.outputs[port.name] = add_value(draft, str(node.name, ".", port.name), port.type, origin);
  draft.graph.nodes.push_back(std::move(node));
  return id;
}

// What the body gives for the next iteration tells the type of a carry.  Empty where the document
// is faulty.
PortType type_of_next(const Draft& draft, const LoopSpec& spec, const CarrySpec& carry) {
  const auto* wire = std::get_if<WireRef>(&carry.next.term);
  if (wire == nullptr) return {};
  for (const NodeSpec& node : spec.nodes) {
    const auto type = draft.catalog.find(node.type);
    if (node.name != wire->owner || type == draft.catalog.end()) continue;
    const PortSpec* port = find_port(type->second->outputs, wire->member);
    if (port != nullptr) return port->type;
  }
  return {};
}

void add_loop(Draft& draft, const LoopSpec& spec) {
  const LoopId id{static_cast<std::uint32_t>(draft.graph.loops.size())};
  Loop loop;
  loop.name = spec.name;
  loop.place = str(draft.spec.file, ": loop '", spec.name, "'");
  const std::string scope = spec.name + ".";
  loop.index = add_value(draft, scope + "index", port::kInt, {id, {}});
  for (const CarrySpec& carry : spec.carries) {
    const PortType type = type_of_next(draft, spec, carry);
    const ValueId current = add_value(draft, scope + "carry." + carry.name, type, {id, {}});
    const ValueId last = add_value(draft, scope + carry.name, type, {id, {}});
    loop.carries.push_back({carry.name, type, {}, current, current, last});  // next: in connect()
  }
  std::map<std::string, NodeId> names;
  for (const NodeSpec& node : spec.nodes) {
    loop.body.push_back(add_node(draft, node, id, scope));
    names.emplace(node.name, loop.body.back());
  }
  draft.names.emplace(spec.name, id);
  draft.bodies.push_back(std::move(names));
  draft.graph.loops.push_back(std::move(loop));
}

// A body reads inner and outer names alike, so that none may mean two things.
void refuse_hidden_names(Draft& draft) {
  for (const ItemSpec& item : draft.spec.nodes) {
    const auto* loop = std::get_if<LoopSpec>(&item);
    if (loop == nullptr) continue;
    for (const NodeSpec& node : loop->nodes)
      if (draft.names.contains(node.name))
        draft.faults.add(node.path, "node '", loop->name, ".", node.name, "': the name '",
                         node.name, "' is taken outside of the loop: expected another; rename one");
  }
}

}  // namespace

std::string who_is(const GraphNode& node) { return str("node '", node.name, "'"); }

void declare(Draft& draft) {
  for (const ItemSpec& item : draft.spec.nodes) {
    if (const auto* node = std::get_if<NodeSpec>(&item))
      draft.names.emplace(node->name, add_node(draft, *node, {}, ""));
    else
      add_loop(draft, std::get<LoopSpec>(item));
  }
  refuse_hidden_names(draft);
}

}  // namespace emulsion

#include <algorithm>

#include "graph/draft.h"

namespace emulsion {
namespace {

std::string entry_path(const NodeSpec& spec, const std::string& port) {
  return str(spec.path, "/in/", port);
}

void refuse_unknown_ports(Draft& draft, const NodeSpec& spec, const GraphNode& node) {
  const std::vector<PortSpec>& known = node.type->inputs;
  for (const Entry& entry : spec.in) {
    if (find_port(known, entry.name) != nullptr) continue;
    const bool is_param = find_param(node.type->params, entry.name) != nullptr;
    draft.faults.add(entry.path, who_is(node), ": unknown input of ", node.type->id,
                     expected_one_of(names_of(known), entry.name),
                     is_param ? "; it is a parameter, set it under 'params'" : "");
  }
}

// A file that was not bound leaves its port open, which is a fault only where a value is needed.
void connect_port(Draft& draft, const NodeSpec& spec, NodeId id, const PortSpec& port,
                  std::optional<LoopId> inside) {
  GraphNode& node = draft.graph.nodes[index(id)];
  const Asker asker{.path = entry_path(spec, port.name),
                    .who = str(who_is(node), ", input '", port.name, "'"),
                    .inside = inside,
                    .optional = port.optional};
  const auto entry = std::ranges::find(spec.in, port.name, &Entry::name);
  if (entry != spec.in.end()) {
    if (const auto operand = operand_at(draft, entry->term, port.type, asker))
      node.inputs.emplace(port.name, *operand);
  } else if (!port.optional) {
    draft.faults.add(asker.path, asker.who, " is not connected: expected ", type_text(port.type),
                     ", got nothing; add it under 'in'");
  }
}

void connect_node(Draft& draft, const NodeSpec& spec, NodeId id, std::optional<LoopId> inside) {
  GraphNode& node = draft.graph.nodes[index(id)];
  if (node.type == nullptr) return;  // reported by declare()
  set_slots(draft, spec, node);
  set_params(draft, spec, node);
  refuse_unknown_ports(draft, spec, node);
  for (const PortSpec& port : node.type->inputs) connect_port(draft, spec, id, port, inside);
}

void connect_count(Draft& draft, const LoopSpec& spec, Loop& loop) {
  const Asker asker{.path = spec.count.path, .who = str("loop '", spec.name, "', count")};
  const auto count = operand_at(draft, spec.count.term, port::kInt, asker);
  loop.count = Param(std::int64_t{0});  // waits for nothing where it is faulty
  if (!count) return;
  loop.count = *count;
  const auto* constant = std::get_if<Param>(&*count);
  const bool is_given = constant != nullptr && draft.unset == Unset::IsFault;
  if (is_given && std::get<std::int64_t>(*constant) < 1)
    draft.faults.add(asker.path, asker.who, ": expected at least 1, got ", to_text(*constant));
}

void connect_from(Draft& draft, const LoopSpec& spec, const CarrySpec& written, Carry& carry) {
  if (!written.from) {
    draft.absent_first.insert(carry.current);
    return;
  }
  const Asker asker{.path = written.from->path,
                    .who = str("loop '", spec.name, "', carry '", carry.name, "', from"),
                    .inside = {},
                    .optional = true};
  carry.from = operand_at(draft, written.from->term, carry.type, asker);
  if (!carry.from && std::holds_alternative<InputRef>(written.from->term))
    draft.absent_first.insert(carry.current);
}

void connect_next(Draft& draft, const LoopSpec& spec, LoopId id, const CarrySpec& written,
                  Carry& carry) {
  const auto* wire = std::get_if<WireRef>(&written.next.term);
  if (wire == nullptr) return;  // reported by the parser
  const Asker asker{.path = written.next.path,
                    .who = str("loop '", spec.name, "', carry '", carry.name, "', next"),
                    .inside = id};
  const std::optional<ValueId> value = value_at(draft, *wire, asker);
  if (!value) return;
  const std::optional<NodeId> maker = draft.origins[index(*value)].body;
  if (maker)
    carry.next = *value;
  else
    draft.faults.add(asker.path, asker.who, ": expected an output of a node in the loop (",
                     joined(names_of(spec.nodes)), "), got ", wire_text(*wire));
}

void connect_loop(Draft& draft, const LoopSpec& spec, LoopId id) {
  Loop& loop = draft.graph.loops[index(id)];
  connect_count(draft, spec, loop);
  for (std::size_t i = 0; i < spec.carries.size(); ++i) {
    connect_from(draft, spec, spec.carries[i], loop.carries[i]);
    connect_next(draft, spec, id, spec.carries[i], loop.carries[i]);
  }
  for (std::size_t i = 0; i < spec.nodes.size(); ++i)
    connect_node(draft, spec.nodes[i], loop.body[i], id);
}

void connect_outputs(Draft& draft) {
  for (const Entry& output : draft.spec.outputs) {
    const auto* wire = std::get_if<WireRef>(&output.term);
    if (wire == nullptr) continue;  // reported by the parser
    const Asker asker{.path = output.path, .who = str("output '", output.name, "'")};
    if (const auto value = value_at(draft, *wire, asker))
      draft.graph.outputs.push_back({output.name, *value});
  }
}

}  // namespace

void connect(Draft& draft) {
  std::uint32_t nodes = 0, loops = 0;  // those before the item, as declare() counted them
  for (const ItemSpec& item : draft.spec.nodes) {
    if (const auto* node = std::get_if<NodeSpec>(&item)) {
      connect_node(draft, *node, NodeId(nodes++), {});
    } else {
      const auto& loop = std::get<LoopSpec>(item);
      connect_loop(draft, loop, LoopId(loops++));
      nodes += static_cast<std::uint32_t>(loop.nodes.size());
    }
  }
  connect_outputs(draft);
}

}  // namespace emulsion

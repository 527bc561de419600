#include <algorithm>

#include "graph/draft.h"
#include "graph/limits.h"

namespace emulsion {
namespace {

// "; nodes that give latent: latent_noise, sampler_step"
std::string givers(const NodeCatalog& catalog, const PortType& type) {
  std::vector<std::string> ids;
  for (const auto& [id, node] : catalog)
    if (std::ranges::any_of(node->outputs,
                            [&](const PortSpec& port) { return port.type.name == type.name; }))
      ids.push_back(id);
  if (ids.empty()) return str("; no node gives ", type.name);
  return str("; nodes that give ", type.name, ": ", joined(ids));
}

void report_type(Draft& draft, const Asker& asker, const PortType& type, const std::string& got) {
  draft.faults.add(asker.path, asker.who, ": expected ", type_text(type), ", got ", got,
                   givers(draft.catalog, type));
}

// The names that a wire from the asker's place may start with.
std::vector<std::string> visible_names(const Draft& draft, const Asker& asker) {
  std::vector<std::string> names;
  for (const auto& [name, item] : draft.names) names.push_back(name);
  if (!asker.inside) return names;
  for (const auto& [name, id] : draft.bodies[index(*asker.inside)]) names.push_back(name);
  names.insert(names.end(), {"carry", "loop"});
  return names;
}

const Carry* carry_at(Draft& draft, const Loop& loop, const WireRef& wire, const Asker& asker) {
  const auto found = std::ranges::find(loop.carries, wire.member, &Carry::name);
  if (found != loop.carries.end()) return &*found;
  draft.faults.add(asker.path, asker.who, ": unknown carry of loop '", loop.name, "'",
                   expected_one_of(names_of(loop.carries), wire.member));
  return nullptr;
}

// "carry.latent" and "loop.index".
std::optional<ValueId> body_value(Draft& draft, const WireRef& wire, const Asker& asker) {
  if (!asker.inside) {
    draft.faults.add(asker.path, asker.who, ": ", wire_text(wire),
                     " is read outside of a loop: expected \"node.output\"; ",
                     "outside, the carries of a loop are read as \"<loop>.<carry>\"");
    return std::nullopt;
  }
  const Loop& loop = draft.graph.loop(*asker.inside);
  if (wire.owner == "carry") {
    const Carry* carry = carry_at(draft, loop, wire, asker);
    return carry == nullptr ? std::nullopt : std::optional(carry->current);
  }
  if (wire.member == "index") return loop.index;
  draft.faults.add(asker.path, asker.who, ": unknown value of the loop",
                   expected_one_of({"index"}, wire.member));
  return std::nullopt;
}

std::optional<ValueId> loop_value(Draft& draft, LoopId id, const WireRef& wire,
                                  const Asker& asker) {
  const Loop& loop = draft.graph.loop(id);
  if (asker.inside == id) {
    draft.faults.add(asker.path, asker.who, ": ", wire_text(wire),
                     " is there only after the loop: expected \"carry.", wire.member,
                     "\" in its body");
    return std::nullopt;
  }
  const Carry* carry = carry_at(draft, loop, wire, asker);
  return carry == nullptr ? std::nullopt : std::optional(carry->last);
}

std::optional<ValueId> node_value(Draft& draft, NodeId id, const WireRef& wire,
                                  const Asker& asker) {
  const GraphNode& node = draft.graph.node(id);
  if (node.type == nullptr) return std::nullopt;  // reported by declare()
  const auto found = node.outputs.find(wire.member);
  if (found != node.outputs.end()) return found->second;
  draft.faults.add(asker.path, asker.who, ": unknown output of node '", node.name, "' (",
                   node.type->id, ")", expected_one_of(names_of(node.type->outputs), wire.member));
  return std::nullopt;
}

// The name is that of no visible node; it may be one in the body of a loop.
void report_owner(Draft& draft, const WireRef& wire, const Asker& asker) {
  for (const Loop& loop : draft.graph.loops) {
    const auto& body = draft.bodies[static_cast<std::size_t>(&loop - draft.graph.loops.data())];
    if (!body.contains(wire.owner)) continue;
    const std::string carries = loop.carries.empty() ? "none" : joined(names_of(loop.carries));
    draft.faults.add(asker.path, asker.who, ": '", wire.owner, "' is inside of loop '", loop.name,
                     "': expected a carry of the loop (", carries, "), got ", wire_text(wire),
                     "; read \"", loop.name, ".<carry>\"");
    return;
  }
  draft.faults.add(asker.path, asker.who, ": unknown node",
                   expected_one_of(visible_names(draft, asker), wire.owner));
}

// The type of the port that a constant, or an input of a graph, may feed.
std::string_view port_name(const Param& constant) {
  if (std::holds_alternative<bool>(constant)) return port::kBool.name;
  if (std::holds_alternative<std::int64_t>(constant)) return port::kInt.name;
  if (std::holds_alternative<double>(constant)) return port::kFloat.name;
  return port::kText.name;
}

std::string_view port_name(InputType type) {
  switch (type) {
    case InputType::Bool: return port::kBool.name;
    case InputType::Int: return port::kInt.name;
    case InputType::Float: return port::kFloat.name;
    case InputType::Image: return port::kImage.name;
    case InputType::Latent: return port::kLatent.name;
    default: return port::kText.name;
  }
}

bool may_feed(std::string_view from, std::string_view to) {
  return from == to || (from == port::kInt.name && to == port::kFloat.name);
}

// What stands for an input without a value where that is no fault.
std::optional<Operand> empty_constant(const PortType& type) {
  switch (type.holding) {
    case Holding::Bool: return Param(false);
    case Holding::Int: return Param(std::int64_t{0});
    case Holding::Float: return Param(0.0);
    case Holding::String: return Param(std::string());
    default: return std::nullopt;
  }
}

Param as_float_if(const Param& value, const PortType& type) {
  if (type.holding != Holding::Float) return value;
  return in_kind(value, Param(0.0).index()).value_or(value);
}

std::optional<Operand> wire_operand(Draft& draft, const WireRef& wire, const PortType& type,
                                    const Asker& asker) {
  const std::optional<ValueId> value = value_at(draft, wire, asker);
  if (!value) return std::nullopt;
  const PortType& got = draft.graph.value(*value).type;
  if (got.name.empty() || type.name.empty()) return *value;  // follows from another fault
  if (got.name != type.name) {
    report_type(draft, asker, type, str(type_text(got), " from ", wire_text(wire)));
    return std::nullopt;
  }
  if (draft.absent_first.contains(*value) && !asker.optional) {
    draft.faults.add(asker.path, asker.who, ": carry '", wire.member,
                     "' has no value in the first iteration: expected an optional input; ",
                     "give the carry a 'from'");
    return std::nullopt;
  }
  return *value;
}

std::optional<Operand> input_operand(Draft& draft, const InputRef& ref, const PortType& type,
                                     const Asker& asker) {
  InputState* state = input_at(draft, ref, asker);
  if (state == nullptr || type.name.empty()) return std::nullopt;
  const InputType got = state->input->type;
  if (!may_feed(port_name(got), type.name)) {
    report_type(draft, asker, type, str("input ", quote(ref.name), " of type ", to_text(got)));
    return std::nullopt;
  }
  if (state->value) return as_float_if(*state->value, type);
  if (asker.optional) return std::nullopt;
  report_unset(draft, *state, asker);
  return empty_constant(type);
}

}  // namespace

std::string wire_text(const WireRef& wire) { return quote(wire.owner + "." + wire.member); }

std::string type_text(const PortType& type) {
  const bool has_shape = type.holding == Holding::Tensor || type.holding == Holding::Bundle;
  return has_shape ? str(type.name, " ", type.layout) : std::string(type.name);
}

std::optional<ValueId> value_at(Draft& draft, const WireRef& wire, const Asker& asker) {
  if (wire.owner == "carry" || wire.owner == "loop") return body_value(draft, wire, asker);
  if (asker.inside) {
    const std::map<std::string, NodeId>& body = draft.bodies[index(*asker.inside)];
    const auto found = body.find(wire.owner);
    if (found != body.end()) return node_value(draft, found->second, wire, asker);
  }
  const auto found = draft.names.find(wire.owner);
  if (found == draft.names.end()) {
    report_owner(draft, wire, asker);
    return std::nullopt;
  }
  if (const auto* loop = std::get_if<LoopId>(&found->second))
    return loop_value(draft, *loop, wire, asker);
  return node_value(draft, std::get<NodeId>(found->second), wire, asker);
}

std::optional<Operand> operand_at(Draft& draft, const Term& term, const PortType& type,
                                  const Asker& asker) {
  if (const auto* wire = std::get_if<WireRef>(&term))
    return wire_operand(draft, *wire, type, asker);
  if (const auto* ref = std::get_if<InputRef>(&term))
    return input_operand(draft, *ref, type, asker);
  const auto* constant = std::get_if<Param>(&term);
  if (constant == nullptr || type.name.empty()) return std::nullopt;
  if (may_feed(port_name(*constant), type.name)) return as_float_if(*constant, type);
  report_type(draft, asker, type,
              str("the constant ", quote(to_text(*constant)), " of type ", port_name(*constant)));
  return std::nullopt;
}

}  // namespace emulsion

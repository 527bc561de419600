#include <algorithm>
#include <functional>

#include "graph/draft.h"

namespace emulsion {
namespace {

using Needs = std::vector<std::set<std::size_t>>;  // by position: the positions that come before

// A cycle among what is left: from any of them, along what it waits for, until one comes twice.
std::vector<std::size_t> cycle_in(const Needs& needs, const std::vector<bool>& done) {
  std::size_t at = static_cast<std::size_t>(std::ranges::find(done, false) - done.begin());
  std::vector<std::size_t> walk;
  while (std::ranges::find(walk, at) == walk.end()) {
    walk.push_back(at);
    at = *std::ranges::find_if(needs[at], [&](std::size_t need) { return !done[need]; });
  }
  walk.erase(walk.begin(), std::ranges::find(walk, at));
  std::ranges::reverse(walk);                                 // along the wires
  std::ranges::rotate(walk, std::ranges::min_element(walk));  // first in the document
  return walk;
}

// The positions so that each comes after what it needs, else in the order of the document.  Calls
// `report` with each cycle, and goes on as if it were not there.
std::vector<std::size_t> sorted(
    const Needs& needs, const std::function<void(const std::vector<std::size_t>&)>& report) {
  std::vector<std::size_t> order;
  std::vector<bool> done(needs.size(), false);
  while (order.size() < needs.size()) {
    std::size_t next = 0;
    const auto is_ready = [&](std::size_t at) {
      return !done[at] && std::ranges::all_of(needs[at], [&](std::size_t n) { return done[n]; });
    };
    while (next < needs.size() && !is_ready(next)) ++next;
    std::vector<std::size_t> ready{next};
    if (next == needs.size()) {
      ready = cycle_in(needs, done);
      report(ready);
    }
    for (const std::size_t at : ready) done[at] = true;
    order.insert(order.end(), ready.begin(), ready.end());
  }
  return order;
}

std::vector<ValueId> values_read(const GraphNode& node) {
  std::vector<ValueId> values;
  for (const auto& [port, operand] : node.inputs)
    if (const auto* value = std::get_if<ValueId>(&operand)) values.push_back(*value);
  return values;
}

// A loop reads what its body reads, its own values aside.
std::vector<ValueId> values_read(const Draft& draft, const Item& item) {
  if (const auto* node = std::get_if<NodeId>(&item)) return values_read(draft.graph.node(*node));
  const Loop& loop = draft.graph.loop(std::get<LoopId>(item));
  std::vector<ValueId> values;
  const auto take = [&](const Operand& operand) {
    if (const auto* value = std::get_if<ValueId>(&operand)) values.push_back(*value);
  };
  take(loop.count);
  for (const Carry& carry : loop.carries)
    if (carry.from) take(*carry.from);
  for (const NodeId id : loop.body)
    for (const ValueId value : values_read(draft.graph.node(id)))
      if (draft.origins[index(value)].item != item) values.push_back(value);
  return values;
}

// "'a' -> 'b' -> 'a'"
std::string circle(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += str("'", name, "' -> ");
  return text + str("'", names.front(), "'");
}

std::vector<Item> items_of(const Draft& draft) {
  std::vector<Item> items;
  std::uint32_t nodes = 0, loops = 0;
  for (const ItemSpec& item : draft.spec.nodes) {
    if (std::holds_alternative<NodeSpec>(item)) {
      items.emplace_back(NodeId(nodes++));
    } else {
      items.emplace_back(LoopId(loops++));
      nodes += static_cast<std::uint32_t>(std::get<LoopSpec>(item).nodes.size());
    }
  }
  return items;
}

void report_cycle(Draft& draft, const std::string& path, const std::vector<std::string>& names) {
  draft.faults.add(path, "cycle ", circle(names), ": expected no value that needs itself; ",
                   "a value that goes round belongs to a loop's 'carry'");
}

void order_items(Draft& draft) {
  const std::vector<Item> items = items_of(draft);
  const auto position = [&](const Item& item) {
    return static_cast<std::size_t>(std::ranges::find(items, item) - items.begin());
  };
  Needs needs(items.size());
  for (std::size_t at = 0; at < items.size(); ++at)
    for (const ValueId value : values_read(draft, items[at]))
      needs[at].insert(position(draft.origins[index(value)].item));
  const auto order = sorted(needs, [&](const std::vector<std::size_t>& cycle) {
    std::vector<std::string> names;
    for (const std::size_t at : cycle) names.push_back(name_of(draft.spec.nodes[at]));
    report_cycle(draft, "/nodes/" + names.front(), names);
  });
  for (const std::size_t at : order) draft.graph.order.push_back(items[at]);
}

void order_body(Draft& draft, Loop& loop) {
  const std::vector<NodeId> body = loop.body;
  Needs needs(body.size());
  for (std::size_t at = 0; at < body.size(); ++at)
    for (const ValueId value : values_read(draft.graph.node(body[at]))) {
      const auto maker = std::ranges::find(body, draft.origins[index(value)].body,
                                           [](NodeId id) { return std::optional(id); });
      if (maker != body.end()) needs[at].insert(static_cast<std::size_t>(maker - body.begin()));
    }
  loop.body.clear();
  const auto order = sorted(needs, [&](const std::vector<std::size_t>& cycle) {
    std::vector<std::string> names;
    for (const std::size_t at : cycle) names.push_back(draft.graph.node(body[at]).name);
    report_cycle(draft, str("/nodes/", loop.name, "/loop/nodes"), names);
  });
  for (const std::size_t at : order) loop.body.push_back(body[at]);
}

}  // namespace

void put_in_order(Draft& draft) {
  for (Loop& loop : draft.graph.loops) order_body(draft, loop);
  order_items(draft);
}

}  // namespace emulsion

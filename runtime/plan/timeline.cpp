#include "plan/timeline.h"

namespace emulsion {
namespace {

class TimelineMaker {
 public:
  TimelineMaker(const Graph& graph, const StartingPoint& start)
      : graph_(graph),
        start_(start),
        makers_(graph.values.size()),
        wanted_nodes_(graph.nodes.size(), false),
        wanted_loops_(graph.loops.size(), false) {
    timeline_.loops.resize(graph.loops.size());
    timeline_.made_at.resize(graph.values.size());
    timeline_.given.assign(graph.values.size(), false);
    for (const ValueId value : start.values) timeline_.given[index(value)] = true;
  }

  Timeline make() {
    note_makers();
    for (const GraphOutput& output : graph_.outputs) want(output.value);
    for (const Item& item : graph_.order)
      if (has_effects(item)) want_item(item);
    for (const Item& item : graph_.order) place(item);
    return std::move(timeline_);
  }

 private:
  void note_makers() {
    for (const Item& item : graph_.order) {
      if (const auto* node = std::get_if<NodeId>(&item)) {
        for (const auto& [port, value] : graph_.node(*node).outputs) makers_[index(value)] = item;
        continue;
      }
      const Loop& loop = graph_.loop(std::get<LoopId>(item));
      for (const Carry& carry : loop.carries) makers_[index(carry.last)] = item;
    }
  }

  bool has_effects(const Item& item) const {
    if (const auto* node = std::get_if<NodeId>(&item)) return graph_.node(*node).type->has_effects;
    for (const NodeId node : graph_.loop(std::get<LoopId>(item)).body)
      if (graph_.node(node).type->has_effects) return true;
    return false;
  }

  void want(const Operand& operand) {
    const auto* value = std::get_if<ValueId>(&operand);
    if (value == nullptr || timeline_.given[index(*value)]) return;
    if (const auto& maker = makers_[index(*value)]) want_item(*maker);
  }

  void want_item(const Item& item) {
    if (const auto* node = std::get_if<NodeId>(&item))
      want_node(*node);
    else
      want_loop(std::get<LoopId>(item));
  }

  void want_node(NodeId id) {
    if (wanted_nodes_[index(id)]) return;
    wanted_nodes_[index(id)] = true;
    for (const auto& [port, operand] : graph_.node(id).inputs) want(operand);
  }

  // An interrupted loop has its carries, and does not ask for their first values.
  void want_loop(LoopId id) {
    if (wanted_loops_[index(id)]) return;
    wanted_loops_[index(id)] = true;
    const Loop& loop = graph_.loop(id);
    want(loop.count);
    if (start_.loop != id)
      for (const Carry& carry : loop.carries)
        if (carry.from) want(*carry.from);
    for (const NodeId node : loop.body) want_node(node);
  }

  void place(const Item& item) {
    if (const auto* node = std::get_if<NodeId>(&item)) {
      if (wanted_nodes_[index(*node)]) place_node(*node, std::nullopt);
      return;
    }
    const LoopId id = std::get<LoopId>(item);
    if (!wanted_loops_[index(id)]) return;
    Timeline::Span& span = timeline_.loops[index(id)];
    span.begin = timeline_.runs.size();
    for (const NodeId node : graph_.loop(id).body) place_node(node, id);
    span.end = timeline_.runs.size();
  }

  void place_node(NodeId id, std::optional<LoopId> loop) {
    for (const auto& [port, value] : graph_.node(id).outputs)
      timeline_.made_at[index(value)] = timeline_.runs.size();
    timeline_.runs.push_back(id);
    timeline_.loop_at.push_back(loop);
  }

  const Graph& graph_;
  const StartingPoint& start_;
  Timeline timeline_;
  std::vector<std::optional<Item>> makers_;  // by ValueId: a node outside of loops, or a loop
  std::vector<bool> wanted_nodes_, wanted_loops_;
};

}  // namespace

Timeline make_timeline(const Graph& graph, const StartingPoint& start) {
  return TimelineMaker(graph, start).make();
}

}  // namespace emulsion

#include "plan/timeline.h"

#include <algorithm>

namespace emulsion {
namespace {

class TimelineMaker {
 public:
  explicit TimelineMaker(const Graph& graph) : graph_(graph) {
    timeline_.loops.resize(graph.loops.size());
    timeline_.lifetimes.assign(graph.values.size(), Lifetime{1, 0});
    made_in_.resize(graph.values.size());
  }

  Timeline make() {
    for (const Item& item : graph_.order) {
      if (const auto* node = std::get_if<NodeId>(&item))
        place(*node, std::nullopt);
      else
        place_loop(std::get<LoopId>(item));
    }
    for (std::size_t p = 0; p < timeline_.runs.size(); ++p) read_inputs(p);
    for (std::size_t i = 0; i < graph_.loops.size(); ++i) read_loop(static_cast<LoopId>(i));
    if (!timeline_.runs.empty())
      for (const GraphOutput& output : graph_.outputs)
        read(output.value, timeline_.runs.size() - 1);
    return std::move(timeline_);
  }

 private:
  void place(NodeId id, std::optional<LoopId> loop) {
    const std::size_t position = timeline_.runs.size();
    timeline_.runs.push_back(id);
    timeline_.loop_at.push_back(loop);
    for (const auto& [port, value] : graph_.node(id).outputs) make_value(value, position, loop);
  }

  void place_loop(LoopId id) {
    const Loop& loop = graph_.loop(id);
    LoopSpan& span = timeline_.loops[index(id)];
    span.first = timeline_.runs.size();
    for (const Carry& carry : loop.carries) make_value(carry.current, span.first, id);
    for (const NodeId node : loop.body) place(node, id);
    span.last = timeline_.runs.size() - 1;
    for (const Carry& carry : loop.carries) {
      made_in_[index(carry.last)] = std::nullopt;
      timeline_.lifetimes[index(carry.last)] = {span.last + 1, span.last};  // empty until read
    }
  }

  void make_value(ValueId value, std::size_t position, std::optional<LoopId> loop) {
    timeline_.lifetimes[index(value)] = {position, position};
    made_in_[index(value)] = loop;
  }

  void read(ValueId value, std::size_t position) {
    Lifetime& lifetime = timeline_.lifetimes[index(value)];
    lifetime.last = std::max(lifetime.last, position);
  }

  void read_inputs(std::size_t position) {
    const std::optional<LoopId> loop = timeline_.loop_at[position];
    for (const auto& [port, operand] : graph_.node(timeline_.runs[position]).inputs) {
      const auto* value = std::get_if<ValueId>(&operand);
      if (value == nullptr) continue;
      const bool outer = loop && made_in_[index(*value)] != loop;
      read(*value, outer ? timeline_.loops[index(*loop)].last : position);
    }
  }

  void read_loop(LoopId id) {
    const Loop& loop = graph_.loop(id);
    const LoopSpan& span = timeline_.loops[index(id)];
    const std::size_t before = span.first == 0 ? 0 : span.first - 1;
    if (const auto* count = std::get_if<ValueId>(&loop.count)) read(*count, span.first);
    for (const Carry& carry : loop.carries) {
      read(carry.next, span.last);
      if (!carry.from) continue;
      if (const auto* from = std::get_if<ValueId>(&*carry.from)) read(*from, before);
    }
  }

  const Graph& graph_;
  Timeline timeline_;
  std::vector<std::optional<LoopId>> made_in_;  // by ValueId
};

}  // namespace

Timeline make_timeline(const Graph& graph) { return TimelineMaker(graph).make(); }

}  // namespace emulsion

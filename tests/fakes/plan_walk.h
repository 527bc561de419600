#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "emulsion/str.h"
#include "plan/execution_plan.h"

// Does a plan's steps on paper: what is where, and how many bytes that takes.
namespace emulsion::fakes {

class PlanWalk {
 public:
  PlanWalk(const ExecutionPlan& plan, const Graph& graph, const Forecasts& forecasts)
      : plan_(plan), graph_(graph), forecasts_(forecasts) {
    walk(plan.steps);
    if (!weights_.empty()) fault("weights are left behind");
    for (const auto& [where, bytes] : values_)
      if (bytes > 0 && !is_output(where.first)) fault(str("left behind: ", name(where.first)));
    for (const GraphOutput& output : graph.outputs)
      if (!values_.contains({output.value, host()})) fault("an output is not on the host");
  }

  // What no plan may do, a line each.
  const std::vector<std::string>& faults() const { return faults_; }

 private:
  DeviceId host() const { return static_cast<DeviceId>(plan_.devices.size() - 1); }
  const std::string& name(ValueId value) const { return graph_.value(value).name; }
  void fault(std::string line) { faults_.push_back(std::move(line)); }

  bool is_output(ValueId value) const {
    for (const GraphOutput& output : graph_.outputs)
      if (output.value == value) return true;
    return false;
  }

  bool on_host(ValueId value) const {
    const PortType& type = graph_.value(value).type;
    return type.home == Home::Host ||
           (type.holding != Holding::Tensor && type.holding != Holding::Bundle);
  }

  DeviceId place(ValueId value, DeviceId device) const { return on_host(value) ? host() : device; }

  Bytes used(DeviceId device) const {
    Bytes sum = 0;
    for (const auto& [where, bytes] : weights_) sum += where.second == device ? bytes : 0;
    for (const auto& [where, bytes] : values_) sum += where.second == device ? bytes : 0;
    for (const auto& [where, bytes] : memos_) sum += where.second == device ? bytes : 0;
    return sum;
  }

  void check(DeviceId device, Bytes more, const std::string& what) {
    const Bytes bytes = used(device) + more;
    const DevicePlan& planned = plan_.devices[static_cast<std::size_t>(device)];
    if (bytes > planned.budget.capacity || bytes > planned.peak)
      fault(str(what, ": ", bytes / kKiB, " KiB on ", planned.budget.name, ", planned ",
                planned.peak / kKiB));
  }

  void walk(const std::vector<Step>& steps) {
    for (const Step& step : steps) std::visit([this](const auto& s) { take(s); }, step);
  }

  void take(const LoadWeights& s) {
    if (s.from && !weights_.contains({s.component, *s.from})) fault("loads from where nothing is");
    if (!weights_.emplace(std::pair(s.component, s.device), s.held).second) fault("loads twice");
    check(s.device, 0, "load");
  }

  void take(const EvictWeights& s) {
    if (weights_.erase({s.component, s.device}) == 0) fault("evicts what is not there");
  }

  void take(const CopyValue& s) {
    if (!values_.contains({s.value, s.from})) {
      if (!is_carry(s.value)) fault(str("copies what is not there: ", name(s.value)));
      return;
    }
    values_[{s.value, s.to}] = s.bytes;
    check(s.to, 0, "copy");
  }

  bool is_carry(ValueId value) const {
    for (const Loop& loop : graph_.loops)
      for (const Carry& carry : loop.carries)
        if (carry.current == value) return true;
    return false;
  }

  void take(const FreeValue& s) {
    if (values_.erase({s.value, s.device}) == 0 && !is_carry(s.value))
      fault(str("frees what is not there: ", name(s.value)));
  }

  void take(const BindValues& s) {
    std::vector<std::pair<std::pair<ValueId, DeviceId>, Bytes>> bound;
    for (const BindValues::Pair& pair : s.pairs) {
      const auto* from = std::get_if<ValueId>(&pair.from);
      const DeviceId device = place(pair.to, pair.device);
      if (from == nullptr || !values_.contains({*from, device})) {
        if (from != nullptr) fault(str("binds what is not there: ", name(*from)));
        continue;
      }
      bound.push_back({{pair.to, device}, values_[{*from, device}]});
    }
    for (const auto& [where, bytes] : bound) values_[where] = bytes;
    for (const BindValues::Pair& pair : s.pairs)  // one tensor under two names
      if (const auto* from = std::get_if<ValueId>(&pair.from))
        values_[{*from, place(*from, pair.device)}] = 0;
  }

  void take(const TrimMemory&) {}

  void take(const RunNode& s) {
    const GraphNode& node = graph_.node(s.node);
    for (const auto& [port, operand] : node.inputs)
      if (const auto* value = std::get_if<ValueId>(&operand))
        if (!on_host(*value) && !is_carry(*value) && !values_.contains({*value, s.device}))
          fault(str(node.name, " finds no ", name(*value)));
    for (const SlotSpec& slot : node.type->slots)
      if (slot.has_weights && !weights_.contains({node.slots.at(slot.name), s.device}))
        fault(str(node.name, " finds no weights"));
    for (const auto& [port, value] : node.outputs)
      values_[{value, place(value, s.device)}] = bytes_of(forecasts_.values[index(value)]);
    memos_[{s.node, s.device}] = s.estimate.memo;
    if (used(s.device) + s.estimate.workspace > s.peak) fault(str(node.name, " passes its peak"));
    check(s.device, s.estimate.workspace, node.name);
    if (!loops_) memos_.clear();
  }

  void take(const RunLoop& s) {
    loops_ = true;
    for (int iteration = 0; iteration < 3; ++iteration) walk(s.body);
    loops_ = false;
    memos_.clear();
  }

  const ExecutionPlan& plan_;
  const Graph& graph_;
  const Forecasts& forecasts_;
  std::map<std::pair<ComponentId, DeviceId>, Bytes> weights_;
  std::map<std::pair<ValueId, DeviceId>, Bytes> values_;
  std::map<std::pair<NodeId, DeviceId>, Bytes> memos_;
  bool loops_ = false;
  std::vector<std::string> faults_;
};

}  // namespace emulsion::fakes

#include "exec/recovery.h"

#include <c10/core/CachingDeviceAllocator.h>

#include <algorithm>
#include <limits>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "plan/located_error.h"

namespace emulsion {
namespace {

void release_body(const Graph& graph, const Loop& loop, ValueTable& values) {
  values.release(loop.index);
  for (const NodeId node : loop.body)
    for (const auto& [port, value] : graph.node(node).outputs) values.release(value);
}

// The carries as they were before the iteration that failed, or, where the loop has ended, as what
// it gives.
void settle_carries(const Loop& loop, LoopState& at, ValueTable& values) {
  for (std::size_t i = 0; i < loop.carries.size(); ++i) {
    const Carry& carry = loop.carries[i];
    if (at.finished) {
      if (!values.contains(carry.last)) values.restore(carry.last, values.replicas(carry.current));
      values.release(carry.current);
    } else if (!at.carries.empty()) {
      values.restore(carry.current, std::move(at.carries[i]));
    }
  }
  at.carries.clear();
}

void bring_to_host(RunState& state, ValueId id) {
  const auto host = static_cast<std::size_t>(state.host());
  ValueTable::Replicas replicas = state.values.replicas(id);
  state.values.release(id);
  if (!replicas[host]) {
    const auto source = std::ranges::find_if(replicas, &std::optional<Value>::has_value);
    const MeterScope scope(state.meter(state.host()));
    replicas[host] = copied(**source, c10::DeviceType::CPU);
  }
  state.values.set(id, state.host(), *std::move(replicas[host]));
}

bool has_begun(const Loop& loop, const ValueTable& values) {
  return std::ranges::any_of(loop.carries,
                             [&](const Carry& carry) { return values.contains(carry.current); });
}

// What of the memory that the run does not hold can be had.
Bytes free_now(const DeviceBudget& device, Bytes used) {
  if (device.name == "cpu") return free_host_memory();
  if (device.device.is_cpu()) return device.capacity - used;
  return static_cast<Bytes>(
      c10::getDeviceAllocator(device.device.type())->getMemoryInfo(device.device.index()).first);
}

// What was seen to be there; where that tells nothing new, a tenth less.
Bytes lowered(const DeviceBudget& device, Bytes used) {
  const Bytes seen = used + free_now(device, used);
  return seen < device.capacity / 100 * 99 ? seen : device.capacity / 10 * 9;
}

class Recovery {
 public:
  Recovery(PlanRequest request, const Forecasts& forecasts, const Program& program, RunState& state,
           const RunOptions& options)
      : request_(std::move(request)),
        forecasts_(forecasts),
        program_(program),
        rest_(program.graph),
        state_(state),
        options_(options) {}

  Outputs run(ExecutionPlan plan) {
    while (true) {
      std::string fault;
      try {
        return execute(plan, {rest_, program_.nodes, program_.components}, state_, options_);
      } catch (const OutOfMemory& error) {
        fault = error.what();
      }
      if (failed_at_ == state_.finished)
        throw OutOfMemory(str(fault, "; a leaner plan did not help, give ", device().name,
                              " a smaller budget, or take a smaller width, height or batch"));
      failed_at_ = state_.finished;
      plan = plan_again(fault);
    }
  }

 private:
  DeviceBudget& device() { return request_.devices[static_cast<std::size_t>(state_.busy)]; }

  ExecutionPlan plan_again(const std::string& fault) {
    const std::string where = str(state_.place, ": out of memory on ", device().name, iteration());
    const Bytes wanted = lowered(device(), state_.meter(state_.busy).used());
    request_.start = retreat(program_.graph, state_);
    leave_out_finished_effects();
    std::optional<ExecutionPlan> plan = plan_within(wanted);
    if (!plan) throw OutOfMemory(str(fault, "; there is no leaner plan"));
    const std::string line = str(where, "; planned again within ", format_bytes(device().capacity));
    state_.recorder.note_replan(line);
    if (options_.warn) options_.warn(line);
    return *std::move(plan);
  }

  std::string iteration() const {
    for (const LoopState& loop : state_.loops)
      if (!loop.carries.empty())
        return str(" at iteration ", loop.iteration + 1, " of ", loop.count);
    return {};
  }

  // Their results may be gone, and must not be made twice.
  void leave_out_finished_effects() {
    std::erase_if(rest_.order, [&](const Item& item) {
      const auto* node = std::get_if<NodeId>(&item);
      return node != nullptr && rest_.node(*node).type->has_effects &&
             state_.nodes_done[index(*node)];
    });
  }

  // Within as little as there is a plan for between `wanted` and what the device has now.
  std::optional<ExecutionPlan> plan_within(Bytes wanted) {
    if (auto plan = plan_with(wanted)) return plan;
    constexpr int kRounds = 5;
    Bytes too_small = wanted, enough = device().capacity;
    std::optional<ExecutionPlan> leanest = plan_with(enough);
    for (int round = 0; leanest && round < kRounds; ++round) {
      const Bytes middle = too_small + (enough - too_small) / 2;
      auto plan = plan_with(middle);
      (plan ? enough : too_small) = middle;
      if (plan) leanest = std::move(plan);
    }
    device().capacity = enough;
    return leanest;
  }

  // With this capacity of the failing device, which is kept if there is such a plan.
  std::optional<ExecutionPlan> plan_with(Bytes capacity) {
    const Bytes before = std::exchange(device().capacity, capacity);
    try {
      return make_plan(rest_, forecasts_, request_);
    } catch (const PlanError&) {
      device().capacity = before;
      return std::nullopt;
    }
  }

  PlanRequest request_;
  const Forecasts& forecasts_;
  const Program& program_;
  Graph rest_;  // without the effects that the run has had
  RunState& state_;
  const RunOptions& options_;
  std::optional<std::int64_t> failed_at_;  // how much was finished at the last failure
};

}  // namespace

StartingPoint retreat(const Graph& graph, RunState& state) {
  for (auto& device : state.weights)
    for (LoadedWeights& loaded : device) loaded = {};
  state.kept = {};
  for (Memo& memo : state.memos) memo.clear();
  StartingPoint start;
  for (std::size_t i = 0; i < graph.loops.size(); ++i) {
    const Loop& loop = graph.loops[i];
    LoopState& at = state.loops[i];
    settle_carries(loop, at, state.values);
    release_body(graph, loop, state.values);
    if (at.finished || !has_begun(loop, state.values)) continue;
    start.loop = static_cast<LoopId>(i);
    start.iteration = at.iteration;
  }
  for (std::size_t i = 0; i < state.values.size(); ++i) {
    const auto id = static_cast<ValueId>(i);
    if (!state.values.contains(id)) continue;
    try {
      bring_to_host(state, id);
    } catch (...) {
      rethrow_at(str("keeping '", graph.value(id).name, "'"));
    }
    start.values.push_back(id);
  }
  for (const DeviceId device : {state.host(), state.busy})
    trim_memory(state.meter(device).device());
  return start;
}

Outputs execute_recovering(ExecutionPlan plan, PlanRequest request, const Forecasts& forecasts,
                           const Program& program, RunState& state, const RunOptions& options) {
  return Recovery(std::move(request), forecasts, program, state, options).run(std::move(plan));
}

}  // namespace emulsion

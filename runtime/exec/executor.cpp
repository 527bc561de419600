#include "exec/executor.h"

#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <algorithm>
#include <set>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "exec/node_call.h"
#include "plan/located_error.h"
#include "weights/branches.h"

namespace emulsion {
namespace {

using Clock = RunRecorder::Clock;

template <class... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <class... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

// Which device a step allocates on; none where it lets go only.
std::optional<DeviceId> device_of(const Step& step) {
  return std::visit(Overloaded{[](const LoadWeights& s) { return std::optional(s.device); },
                               [](const CopyValue& s) { return std::optional(s.to); },
                               [](const RunNode& s) { return std::optional(s.device); },
                               [](const auto&) { return std::optional<DeviceId>(); }},
                    step);
}

WeightSelection selection_of(const WeightUse& use, const LoadWeights& step) {
  WeightSelection selection{
      .lasting = use.lasting, .blocks = {}, .prefetch = step.prefetch, .packed = use.packed};
  const std::set<std::size_t> streamed(step.streamed.begin(), step.streamed.end());
  for (std::size_t i = 0; i < use.blocks.size(); ++i) {
    const std::vector<std::string>& block = use.blocks[i];
    if (streamed.contains(i))
      selection.blocks.push_back(block);
    else
      selection.lasting.insert(selection.lasting.end(), block.begin(), block.end());
  }
  return selection;
}

class Executor {
 public:
  Executor(const ExecutionPlan& plan, const Program& program, RunState& state,
           const RunOptions& options)
      : plan_(plan),
        graph_(program.graph),
        nodes_(program.nodes),
        components_(program.components),
        state_(state),
        options_(options) {}

  Outputs run() {
    state_.recorder.begin(plan_);
    for (std::size_t i = 0; i < plan_.devices.size(); ++i)
      state_.meters[i]->expect(plan_.devices[i].peak);
    run_steps(plan_.steps);
    Outputs outputs;
    for (const GraphOutput& output : graph_.outputs)
      if (const auto value = state_.values.read(output.value, state_.host()))
        outputs.emplace(output.name, *value);
    put_rest_aside(state_);
    return outputs;
  }

 private:
  void run_steps(const std::vector<Step>& steps) {
    for (const Step& step : steps) {
      check_cancelled();
      note_place(step);
      if (options_.before_step) options_.before_step(step);
      std::visit(Overloaded{[&](const LoadWeights& s) { load_weights(s); },
                            [&](const EvictWeights& s) { evict_weights(s); },
                            [&](const CopyValue& s) { copy_value(s); },
                            [&](const FreeValue& s) { free_value(s); },
                            [&](const BindValues& s) { bind_values(s); },
                            [&](const TrimMemory& s) { trim_memory(device(s.device)); },
                            [&](const RunNode& s) { run_node(s); },
                            [&](const RunLoop& s) { run_loop(s); }},
                 step);
    }
  }

  void note_place(const Step& step) {
    if (const auto device = device_of(step)) state_.busy = *device;
    if (const auto* load = std::get_if<LoadWeights>(&step))
      state_.place = loading(*load);
    else if (const auto* copy = std::get_if<CopyValue>(&step))
      state_.place = copying(*copy);
    else if (const auto* run = std::get_if<RunNode>(&step))
      state_.place = graph_.node(run->node).place;
  }

  std::string loading(const LoadWeights& s) const {
    return str("loading '", graph_.component(s.component).name, "'");
  }

  std::string copying(const CopyValue& s) const {
    return str("copying '", graph_.value(s.value).name, "'");
  }

  void check_cancelled() const {
    if (options_.cancelled != nullptr && options_.cancelled->load(std::memory_order_relaxed))
      throw Cancelled("cancelled");
  }

  const c10::Device& device(DeviceId id) const { return plan_.device(id).device; }

  void load_weights(const LoadWeights& s) {
    const WeightSelection selection = selection_of(plan_.uses[index(s.component)], s);
    MemoryMeter& meter = state_.meter(s.device);
    const WeightPlace place{device(s.device), s.device == state_.host(), &meter};
    LoadedWeights& loaded = state_.loaded(s.component, s.device);
    loaded = {};
    state_.recorder.begin_step(s.device);
    try {
      const MeterScope scope(meter);
      loaded.weights = s.from
                           ? load(state_.loaded(s.component, *s.from).weights, selection, place)
                           : load(components_[index(s.component)], selection, place, plan_.dtype);
    } catch (...) {
      rethrow_at(loading(s));
    }
    finish_work(device(s.device));
    loaded.held = s.held;
    loaded.streamed = s.streamed;
    loaded.prefetch = s.prefetch;
    state_.recorder.note_load(s);
  }

  void evict_weights(const EvictWeights& s) {
    state_.loaded(s.component, s.device) = {};
    trim_memory(device(s.device));
    state_.recorder.note_eviction(s.component);
  }

  void copy_value(const CopyValue& s) {
    if (state_.values.is_on_host(s.value)) return;
    const std::optional<Value>& source = state_.values.find(s.value, s.from);
    if (!source) return;  // the first iteration finds a carry without a first value absent
    state_.recorder.begin_step(s.to);
    try {
      const MeterScope scope(state_.meter(s.to));
      state_.values.set(s.value, s.to, copied(*source, device(s.to)));
    } catch (...) {
      rethrow_at(copying(s));
    }
    finish_work(device(s.to));
    state_.recorder.note_copy(s);
  }

  void free_value(const FreeValue& s) {
    put_aside(state_, s.value, s.device);
    state_.values.release(s.value, s.device);
  }

  void bind_values(const BindValues& s) {
    std::vector<std::optional<Value>> sources;
    for (const BindValues::Pair& pair : s.pairs)
      sources.push_back(state_.values.read(pair.from, pair.device));
    for (std::size_t i = 0; i < sources.size(); ++i)
      if (sources[i])
        state_.values.set(s.pairs[i].to, s.pairs[i].device, *std::move(sources[i]));
      else
        state_.values.release(s.pairs[i].to);
  }

  RunHooks hooks(const RunNode& step) const {
    return {options_.cancelled, [this, &step](const std::string& line) {
              state_.recorder.note_line(step, line);
              if (options_.warn) options_.warn(str(graph_.node(step.node).place, ": ", line));
            }};
  }

  std::vector<Slot> slots_on(DeviceId device, const GraphNode& node) const {
    std::vector<Slot> slots;
    for (std::size_t i = 0; i < components_.size(); ++i)
      slots.push_back(
          {components_[i].component, state_.loaded(static_cast<ComponentId>(i), device).weights});
    for (const ComponentId id : components_of(graph_, node))
      if (const auto beside = graph_.component(id).beside) {
        Slot& slot = slots[index(*beside)];
        slot.weights =
            with_branches(*slot.weights, *slots[index(id)].weights, components_[index(id)]);
      }
    return slots;
  }

  void run_node(const RunNode& s) {
    const GraphNode& node = graph_.node(s.node);
    report_progress(node.name);
    RunContext::Values inputs;
    try {
      for (const auto& [port, operand] : node.inputs)
        if (auto value = state_.values.read(operand, s.device))
          inputs.emplace(port, *std::move(value));
    } catch (...) {
      rethrow_at(node.place);
    }
    RunContext context(site_of(node, slots_on(s.device, node), s.variant, plan_.dtype),
                       device(s.device), std::move(inputs), hooks(s));
    if (loop_ != nullptr) context.memo() = std::exchange(state_.memos[index(s.node)], {});
    state_.recorder.begin_step(s.device);
    std::vector<OperatorTimes> operators;
    RunContext::Values outputs = call_metered(s, context, operators);
    state_.recorder.note_run(s, operators);
    check_no_nan(node, context, outputs);
    for (const auto& [port, value] : node.outputs)
      state_.values.set(value, s.device, std::move(outputs.at(port)));
    if (loop_ != nullptr) {
      state_.memos[index(s.node)] = std::move(context.memo());
      return;
    }
    state_.nodes_done[index(s.node)] = true;
    ++state_.finished;
  }

  RunContext::Values call_metered(const RunNode& s, RunContext& context,
                                  std::vector<OperatorTimes>& operators) {
    const MeterScope scope(state_.meter(s.device));
    std::optional<OperatorProfile> profile;
    if (device(s.device).is_cpu()) profile.emplace();
    auto outputs = call_node(graph_.node(s.node), *nodes_[index(s.node)], context);
    finish_work(device(s.device));
    if (profile) operators = profile->operators();
    return outputs;
  }

  // Accelerators work behind the caller's back; a time means something only once they are done.
  static void finish_work(const c10::Device& device) {
    if (!device.is_cpu())
      c10::impl::getDeviceGuardImpl(device.type())->synchronizeDevice(device.index());
  }

  void run_loop(const RunLoop& s) {
    const Loop& loop = graph_.loop(s.loop);
    LoopState& at = state_.loops[index(s.loop)];
    const std::optional<Value> given = state_.values.read(loop.count, state_.host());
    const std::int64_t count = given ? std::get<std::int64_t>(*given) : 0;
    std::vector<double> seconds;
    at.count = count;
    state_.recorder.begin_loop();
    progress_ = {.node = {}, .iteration = s.first, .iterations = count, .seconds_left = 0};
    loop_ = &loop;
    for (at.iteration = s.first; at.iteration < count;) {
      const Clock::time_point began = Clock::now();
      remember_carries(loop, at);
      state_.values.set(loop.index, state_.host(), at.iteration);
      run_steps(s.body);
      seconds.push_back(state_.recorder.note_iteration(loop, at.iteration, began));
      at.carries.clear();
      progress_.iteration = ++at.iteration;
      ++state_.finished;
      progress_.seconds_left = median(seconds) * static_cast<double>(count - at.iteration);
      report_progress({});
    }
    for (const NodeId node : loop.body) state_.memos[index(node)].clear();
    at.finished = true;
    loop_ = nullptr;
    progress_ = {};
    state_.recorder.end_loop(std::move(seconds));
  }

  // Handles only: the plan keeps the carries of an iteration until its end.
  void remember_carries(const Loop& loop, LoopState& at) const {
    at.carries.clear();
    for (const Carry& carry : loop.carries)
      at.carries.push_back(state_.values.replicas(carry.current));
  }

  void report_progress(const std::string& node) {
    progress_.node = node;
    if (options_.progress) options_.progress(progress_);
  }

  const ExecutionPlan& plan_;
  const Graph& graph_;
  const Nodes& nodes_;
  const std::vector<OpenComponent>& components_;
  RunState& state_;
  const RunOptions& options_;
  const Loop* loop_ = nullptr;  // that runs
  RunProgress progress_;
};

}  // namespace

Outputs execute(const ExecutionPlan& plan, const Program& program, RunState& state,
                const RunOptions& options) {
  return Executor(plan, program, state, options).run();
}

}  // namespace emulsion

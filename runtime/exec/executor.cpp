#include "exec/executor.h"

#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <algorithm>
#include <chrono>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "exec/memory_meter.h"
#include "exec/node_call.h"
#include "exec/value_table.h"
#include "plan/located_error.h"

namespace emulsion {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> samples) {
  if (samples.empty()) return 0;
  const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
  std::nth_element(samples.begin(), middle, samples.end());
  return *middle;
}

template <class... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <class... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

class Executor {
 public:
  Executor(const ExecutionPlan& plan, const Graph& graph, const Nodes& nodes,
           const std::vector<OpenComponent>& components, const RunOptions& options)
      : plan_(plan),
        graph_(graph),
        nodes_(nodes),
        components_(components),
        options_(options),
        values_(graph.values.size()),
        step_of_node_(graph.nodes.size(), kNoStep) {
    for (const OpenComponent& open : components) slots_.push_back({open.component, nullptr});
    result_.report.graph = graph.name;
    result_.report.dtype = dtype_text(plan.dtype);
    for (const DevicePlan& device : plan.devices)
      result_.report.devices.push_back({device.budget.name, device.budget.capacity, device.peak});
  }

  RunResult run() {
    const Clock::time_point start = Clock::now();
    run_steps(plan_.steps);
    for (const GraphOutput& output : graph_.outputs) {
      values_.move(output.value, c10::Device(c10::DeviceType::CPU));
      if (const auto& value = values_.find(output.value))
        result_.outputs.emplace(output.name, *value);
    }
    result_.report.seconds = seconds_since(start);
    return std::move(result_);
  }

 private:
  static constexpr std::size_t kNoStep = static_cast<std::size_t>(-1);

  void run_steps(const std::vector<Step>& steps) {
    for (const Step& step : steps) {
      check_cancelled();
      std::visit(Overloaded{[&](const LoadWeights& s) { load_weights(s); },
                            [&](const EvictWeights& s) { evict_weights(s); },
                            [&](const MoveValue& s) { move_value(s); },
                            [&](const ReleaseValue& s) { values_.release(s.value); },
                            [&](const BindValues& s) { bind_values(s); },
                            [&](const RunNode& s) { run_node(s); },
                            [&](const RunLoop& s) { run_loop(s); }},
                 step);
    }
  }

  void check_cancelled() const {
    if (options_.cancelled != nullptr && options_.cancelled->load(std::memory_order_relaxed))
      throw Cancelled("cancelled");
  }

  const c10::Device& device(DeviceId id) const { return plan_.device(id).device; }

  void load_weights(const LoadWeights& s) {
    const Clock::time_point start = Clock::now();
    const std::string& name = graph_.component(s.component).name;
    reset_peak(device(s.device));
    try {
      slots_[index(s.component)].weights =
          load(components_[index(s.component)], device(s.device), plan_.dtype);
    } catch (...) {
      rethrow_at(str("loading '", name, "'"));
    }
    note_peak(s.device);
    const double seconds = seconds_since(start);
    result_.report.load_seconds += seconds;
    result_.report.transfers.push_back(
        {name, "disk", plan_.device(s.device).name, s.bytes, seconds});
  }

  void evict_weights(const EvictWeights& s) {
    slots_[index(s.component)].weights = nullptr;
    trim_host_memory();
    result_.report.evictions.push_back(graph_.component(s.component).name);
  }

  void move_value(const MoveValue& s) {
    const Clock::time_point start = Clock::now();
    values_.move(s.value, device(s.to));
    result_.report.transfers.push_back({graph_.value(s.value).name, plan_.device(s.from).name,
                                        plan_.device(s.to).name, s.bytes, seconds_since(start)});
  }

  void bind_values(const BindValues& s) {
    std::vector<std::optional<Value>> sources;
    for (const BindValues::Pair& pair : s.pairs) sources.push_back(values_.read(pair.from));
    for (std::size_t i = 0; i < sources.size(); ++i)
      if (sources[i])
        values_.set(s.pairs[i].to, *std::move(sources[i]));
      else
        values_.release(s.pairs[i].to);
  }

  RunHooks hooks(const GraphNode& node) const {
    return {options_.cancelled, [this, &node](const std::string& line) {
              if (options_.warn) options_.warn(str(node.place, ": ", line));
            }};
  }

  void run_node(const RunNode& s) {
    const GraphNode& node = graph_.node(s.node);
    report_progress(node.name);
    RunContext::Values inputs;
    for (const auto& [port, operand] : node.inputs)
      if (auto value = values_.read(operand)) inputs.emplace(port, *std::move(value));
    RunContext context(site_of(node, slots_, s.variant, plan_.dtype), device(s.device),
                       std::move(inputs), hooks(node));
    const Clock::time_point start = Clock::now();
    reset_peak(device(s.device));
    RunContext::Values outputs = call_node(node, *nodes_[index(s.node)], context);
    finish_work(device(s.device));
    note_run(s, seconds_since(start));
    check_no_nan(node, context, outputs);
    for (const auto& [port, value] : node.outputs) values_.set(value, std::move(outputs.at(port)));
  }

  // Accelerators work behind the caller's back; a time means something only once they are done.
  static void finish_work(const c10::Device& device) {
    if (!device.is_cpu())
      c10::impl::getDeviceGuardImpl(device.type())->synchronizeDevice(device.index());
  }

  Bytes note_peak(DeviceId id) {
    const Bytes measured = peak_bytes(device(id));
    Bytes& highest = result_.report.devices[static_cast<std::size_t>(id)].measured_peak;
    highest = std::max(highest, measured);
    return measured;
  }

  void note_run(const RunNode& s, double seconds) {
    std::size_t& position = step_of_node_[index(s.node)];
    if (position == kNoStep) {
      position = result_.report.steps.size();
      result_.report.steps.push_back(
          {graph_.node(s.node).name, plan_.device(s.device).name, s.variant, 0, 0, s.peak, 0});
    }
    RunReport::Step& step = result_.report.steps[position];
    ++step.iterations;
    step.seconds += seconds;
    step.measured_peak = std::max(step.measured_peak, note_peak(s.device));
  }

  void run_loop(const RunLoop& s) {
    const Loop& loop = graph_.loop(s.loop);
    const std::optional<Value> given = values_.read(loop.count);
    const std::int64_t count = given ? std::get<std::int64_t>(*given) : 0;
    std::vector<double> seconds;
    if (result_.report.ready_seconds == 0) result_.report.ready_seconds = process_seconds();
    progress_ = {.node = {}, .iteration = 0, .iterations = count, .seconds_left = 0};
    for (std::int64_t i = 0; i < count; ++i) {
      const Clock::time_point start = Clock::now();
      values_.set(loop.index, i);
      run_steps(s.body);
      seconds.push_back(seconds_since(start));
      if (result_.report.first_step_seconds == 0)
        result_.report.first_step_seconds = process_seconds();
      progress_.iteration = i + 1;
      progress_.seconds_left = median(seconds) * static_cast<double>(count - i - 1);
      report_progress({});
    }
    progress_ = {};
    if (seconds.size() >= longest_loop_) {
      longest_loop_ = seconds.size();
      if (seconds.size() > 1) seconds.erase(seconds.begin());
      result_.report.denoise_seconds_per_step = median(seconds);
    }
  }

  void report_progress(const std::string& node) {
    progress_.node = node;
    if (options_.progress) options_.progress(progress_);
  }

  const ExecutionPlan& plan_;
  const Graph& graph_;
  const Nodes& nodes_;
  const std::vector<OpenComponent>& components_;
  const RunOptions& options_;
  ValueTable values_;
  std::vector<Slot> slots_;                // by ComponentId, with weights while they are loaded
  std::vector<std::size_t> step_of_node_;  // positions in the report's steps
  RunProgress progress_;
  std::size_t longest_loop_ = 0;
  RunResult result_;
};

}  // namespace

RunResult execute(const ExecutionPlan& plan, const Graph& graph, const Nodes& nodes,
                  const std::vector<OpenComponent>& components, const RunOptions& options) {
  return Executor(plan, graph, nodes, components, options).run();
}

}  // namespace emulsion

#include "plan/plan_writer.h"

#include <algorithm>

namespace emulsion {
namespace {

using Station = Residency::Station;

ComponentId component_id(const Residency& weights) {
  return static_cast<ComponentId>(weights.component);
}

DeviceId device_id(std::size_t device) { return static_cast<DeviceId>(device); }

class PlanWriter {
 public:
  explicit PlanWriter(const Decision& decision)
      : d_(decision),
        weights_(decision.placement.residency.weights),
        replicas_(replicas_of(decision.problem, decision.placement.assignment)),
        usage_(usage_of(decision.problem, decision.placement.assignment,
                        decision.placement.residency.weights)) {}

  ExecutionPlan write() {
    start_plan();
    evict_residents();
    const std::size_t end = d_.timeline.runs.size();
    for (std::size_t p = 0; p < end;) {
      if (const auto loop = d_.timeline.loop_at[p]) {
        write_loop(*loop);
        p = d_.timeline.loops[index(*loop)].end;
      } else {
        write_alone(p++);
      }
    }
    copy_values(plan_.steps, end, std::nullopt);
    free_values(plan_.steps, end, std::nullopt);
    if (!d_.request.repeats)
      for (const Residency& weights : weights_)
        if (weights.kept_after) evict(plan_.steps, weights);
    plan_.seconds = seconds_of(plan_.steps);
    return std::move(plan_);
  }

 private:
  void start_plan() {
    for (std::size_t d = 0; d < d_.request.devices.size(); ++d) {
      const auto& usage = usage_[d];
      const Bytes peak = usage.empty() ? 0 : *std::ranges::max_element(usage);
      plan_.devices.push_back({d_.request.devices[d], peak});
    }
    for (const ComponentForecast& component : d_.forecasts.components)
      plan_.uses.push_back(component.use);
    plan_.dtype = d_.forecasts.dtype;
    plan_.profile = d_.request.profile != nullptr ? d_.request.profile->name : "auto";
  }

  // Weights of an earlier run that are in the way, or not wanted in the form that they have.
  void evict_residents() {
    for (const Residency& weights : weights_) {
      if (weights.resident == nullptr) continue;
      const bool kept =
          weights.stations.empty() ? weights.kept_after : weights.stations.front().kept_before;
      if (!kept) evict(plan_.steps, weights);
    }
  }

  void write_alone(std::size_t p) {
    copy_values(plan_.steps, p, std::nullopt);
    free_values(plan_.steps, p, std::nullopt);
    for (const Residency& weights : weights_)
      if (const Station* station = station_at(weights, p))
        if (!station->kept_before) load_station(weights, *station);
    run(plan_.steps, p);
    leave(p, p + 1);
  }

  // After the station that ends at `end`.
  void leave(std::size_t begin, std::size_t end) {
    for (const Residency& weights : weights_) {
      const Station* station = station_at(weights, begin);
      if (station != nullptr && !stays_after(weights, *station)) {
        if (station->loop == kNone || station->pinned) evict(plan_.steps, weights);
      }
      if (station != nullptr && weights.via_host && weights.reads_during(*station) &&
          weights.host_end() == end)
        evict_host_copy(weights);
    }
    const Phase phase = phase_at(begin);
    if (trims() && (end == d_.timeline.runs.size() || phase_at(end) != phase))
      trim(plan_.steps, begin, end);
  }

  void write_loop(LoopId id) {
    const Loop& loop = d_.graph.loop(id);
    const Timeline::Span& span = d_.timeline.loops[index(id)];
    copy_values(plan_.steps, span.begin, std::nullopt);
    enter(loop, id);
    free_values(plan_.steps, span.begin, std::nullopt);
    for (const Residency& weights : weights_)
      if (const Station* station = station_at(weights, span.begin)) {
        if (station->pinned && !station->kept_before)
          load_station(weights, *station);
        else if (!station->pinned && weights.via_host && is_first(weights, *station))
          load_host_copy(plan_.steps, weights);
      }
    RunLoop run{id, first_iteration(id), d_.forecasts.iterations[index(id)], {}};
    for (std::size_t p = span.begin; p < span.end; ++p) write_body(run.body, p, id);
    carry_on(run.body, loop, span);
    if (d_.request.profile != nullptr && d_.request.profile->trim == Trim::EveryStep)
      trim(run.body, span.begin, span.end);
    plan_.steps.push_back(std::move(run));
    leave_loop(loop);
    leave(span.begin, span.end);
  }

  std::int64_t first_iteration(LoopId id) const {
    return d_.request.start.loop == id ? d_.request.start.iteration : 0;
  }

  void write_body(std::vector<Step>& steps, std::size_t p, LoopId loop) {
    copy_values(steps, p, loop);
    if (p > d_.timeline.loops[index(loop)].begin) free_values(steps, p, loop);
    for (const Residency& weights : weights_)
      if (const Station* station = unpinned_use(weights, p)) {
        const std::size_t use = use_of(*station, p);
        if (use == 0 || !station->stays[use - 1]) load(steps, weights, false);
      }
    run(steps, p);
    for (const Residency& weights : weights_)
      if (const Station* station = unpinned_use(weights, p)) {
        const std::size_t use = use_of(*station, p);
        if (use + 1 == station->uses.size() || !station->stays[use]) evict(steps, weights);
      }
  }

  // Carries take their first values over, or what they were when the loop was interrupted.
  void enter(const Loop& loop, LoopId id) {
    const bool resumes = d_.request.start.loop == id;
    BindValues bind;
    for (const Carry& carry : loop.carries) {
      const DeviceId home = home_of(carry.current);
      if (resumes) {
        if (d_.timeline.given[index(carry.current)] && home != host() && has_bytes(carry.current)) {
          copy(plan_.steps, carry.current, host(), home);
          plan_.steps.push_back(FreeValue{carry.current, host()});
        }
      } else if (carry.from) {
        bind.pairs.push_back({carry.current, *carry.from, home});
      }
    }
    if (!bind.pairs.empty()) plan_.steps.push_back(std::move(bind));
  }

  void carry_on(std::vector<Step>& steps, const Loop& loop, const Timeline::Span& span) {
    BindValues bind;
    for (const Carry& carry : loop.carries)
      bind.pairs.push_back({carry.current, carry.next, home_of(carry.current)});
    if (!bind.pairs.empty()) steps.push_back(std::move(bind));
    for (const Replica& replica : replicas_) {
      const ValueId value = static_cast<ValueId>(replica.value);
      const bool is_current =
          std::ranges::find(loop.carries, value, &Carry::current) != loop.carries.end();
      if (replica.end != span.end || (is_current && replica.is_home)) continue;
      if (inside(value) == loop_id(loop) && replica.begin < replica.end)
        free(steps, value, replica.device);
    }
  }

  void leave_loop(const Loop& loop) {
    BindValues bind;
    for (const Carry& carry : loop.carries)
      if (is_read(carry.last))
        bind.pairs.push_back({carry.last, carry.current, home_of(carry.current)});
    if (!bind.pairs.empty()) plan_.steps.push_back(std::move(bind));
    for (const Carry& carry : loop.carries)
      free(plan_.steps, carry.current, index(home_of(carry.current)));
  }

  bool is_read(ValueId value) const { return !d_.problem.values[index(value)].reads.empty(); }

  LoopId loop_id(const Loop& loop) const {
    return static_cast<LoopId>(&loop - d_.graph.loops.data());
  }

  // The loop whose body makes or carries a value.
  std::optional<LoopId> inside(ValueId value) const {
    if (const auto& made = d_.timeline.made_at[index(value)]) return d_.timeline.loop_at[*made];
    for (std::size_t i = 0; i < d_.graph.loops.size(); ++i)
      for (const Carry& carry : d_.graph.loops[i].carries)
        if (carry.current == value) return static_cast<LoopId>(i);
    return std::nullopt;
  }

  DeviceId host() const { return device_id(d_.problem.host()); }

  DeviceId home_of(ValueId value) const {
    return device_id(
        device_at(d_.problem, d_.placement.assignment, d_.problem.values[index(value)].home));
  }

  // Scalars and strings take no memory, and are read on the host.
  bool has_bytes(ValueId value) const {
    const ValueSpec& spec = d_.forecasts.values[index(value)];
    return std::holds_alternative<TensorSpec>(spec) || std::holds_alternative<BundleSpec>(spec);
  }

  void copy(std::vector<Step>& steps, ValueId value, DeviceId from, DeviceId to) const {
    const Bytes bytes = bytes_of(d_.forecasts.values[index(value)]);
    steps.push_back(
        CopyValue{value, from, to, bytes, copy_seconds(d_.problem, index(from), index(to), bytes)});
  }

  void free(std::vector<Step>& steps, ValueId value, std::size_t device) const {
    if (has_bytes(value)) steps.push_back(FreeValue{value, device_id(device)});
  }

  // Copies that are due before position p, of values of the loop's body or of those outside.
  void copy_values(std::vector<Step>& steps, std::size_t p, std::optional<LoopId> loop) const {
    for (const Replica& replica : replicas_) {
      const ValueId value = static_cast<ValueId>(replica.value);
      if (!replica.is_home && replica.copied_at == p && has_bytes(value) && inside(value) == loop)
        copy(steps, value, home_of(value), device_id(replica.device));
    }
  }

  void free_values(std::vector<Step>& steps, std::size_t p, std::optional<LoopId> loop) const {
    for (const Replica& replica : replicas_) {
      const ValueId value = static_cast<ValueId>(replica.value);
      if (replica.end != p || inside(value) != loop || !is_there(replica)) continue;
      const bool stays =
          p == d_.timeline.runs.size() && is_output(value) && replica.device == d_.problem.host();
      if (!stays) free(steps, value, replica.device);
    }
  }

  bool is_output(ValueId value) const {
    return std::ranges::find(d_.graph.outputs, value, &GraphOutput::value) !=
           d_.graph.outputs.end();
  }

  // Homes of values that nothing makes in this run, and that were not there, hold nothing.
  bool is_there(const Replica& replica) const {
    const ValueId value = static_cast<ValueId>(replica.value);
    return !replica.is_home || d_.timeline.made_at[replica.value] ||
           d_.timeline.given[replica.value] || is_read(value);
  }

  const Station* station_at(const Residency& weights, std::size_t p) const {
    for (const Station& station : weights.stations)
      if (station.begin <= p && p < station.end) return &station;
    return nullptr;
  }

  const Station* unpinned_use(const Residency& weights, std::size_t p) const {
    const Station* station = station_at(weights, p);
    if (station == nullptr || station->pinned) return nullptr;
    return std::ranges::find(station->uses, p) != station->uses.end() ? station : nullptr;
  }

  static std::size_t use_of(const Station& station, std::size_t p) {
    return static_cast<std::size_t>(std::ranges::find(station.uses, p) - station.uses.begin());
  }

  static bool is_first(const Residency& weights, const Station& station) {
    return &station == &weights.stations.front();
  }

  static bool stays_after(const Residency& weights, const Station& station) {
    if (&station == &weights.stations.back()) return weights.kept_after;
    return (&station + 1)->kept_before;
  }

  // The copy in host memory goes as soon as nothing will come from it any more.
  void load_station(const Residency& weights, const Station& station) {
    load(plan_.steps, weights, is_first(weights, station));
    if (weights.via_host && !weights.reads_during(station) &&
        weights.host_end() == station.begin + 1)
      evict_host_copy(weights);
  }

  void evict_host_copy(const Residency& weights) {
    plan_.steps.push_back(EvictWeights{component_id(weights), host()});
  }

  void load_host_copy(std::vector<Step>& steps, const Residency& weights) const {
    const PlacementComponent& component = d_.problem.components[weights.component];
    LoadWeights step;
    step.component = component_id(weights);
    step.device = host();
    step.held = step.passed = component.bytes;
    step.seconds = file_seconds(d_.problem.devices.back(), component, component.bytes);
    step.changed = changed(weights);
    steps.push_back(std::move(step));
  }

  void load(std::vector<Step>& steps, const Residency& weights, bool is_first) const {
    if (weights.via_host && is_first) load_host_copy(steps, weights);
    const Bytes bytes = d_.problem.components[weights.component].bytes;
    LoadWeights step;
    step.component = component_id(weights);
    step.device = device_id(weights.device);
    if (weights.via_host) step.from = host();
    step.held = weights.held;
    step.passed = bytes - weights.level->streamed;
    step.streamed = weights.level->blocks;
    step.prefetch = weights.level->prefetch;
    step.seconds = load_seconds(d_.problem, weights);
    if (!weights.via_host) step.changed = changed(weights);
    steps.push_back(std::move(step));
  }

  std::size_t changed(const Residency& weights) const {
    return d_.forecasts.components[weights.component].changed;
  }

  static void evict(std::vector<Step>& steps, const Residency& weights) {
    steps.push_back(EvictWeights{component_id(weights), device_id(weights.device)});
  }

  void run(std::vector<Step>& steps, std::size_t p) const {
    const NodeId id = d_.timeline.runs[p];
    const GraphNode& node = d_.graph.node(id);
    const PlacementOption& option = d_.problem.runs[p].options[d_.placement.assignment[p]];
    RunNode step;
    step.node = id;
    step.device = device_id(option.device);
    step.variant = d_.forecasts.variants[index(id)][option.variant].variant;
    step.estimate.workspace = option.workspace;
    step.estimate.memo = option.memo;
    for (const auto& [port, value] : node.outputs)
      step.estimate.outputs += bytes_of(d_.forecasts.values[index(value)]);
    std::vector<const Residency*> used;
    for (const Residency& weights : weights_) {
      const auto& components = d_.problem.runs[p].components;
      if (weights.device != option.device ||
          std::ranges::find(components, weights.component) == components.end())
        continue;
      used.push_back(&weights);
      step.estimate.weights += weights.held;
      step.streamed +=
          static_cast<Bytes>(static_cast<double>(weights.level->streamed) * option.passes);
    }
    step.peak = usage_[option.device][p];
    step.seconds = run_seconds(d_.problem, option, used);
    steps.push_back(std::move(step));
  }

  Phase phase_at(std::size_t p) const { return d_.graph.node(d_.timeline.runs[p]).type->phase; }

  bool trims() const {
    return d_.request.profile != nullptr && d_.request.profile->trim != Trim::Never;
  }

  // Devices that worked in [begin, end).
  void trim(std::vector<Step>& steps, std::size_t begin, std::size_t end) const {
    for (std::size_t device = 0; device < d_.problem.host(); ++device)
      for (std::size_t p = begin; p < end; ++p)
        if (device_at(d_.problem, d_.placement.assignment, p) == device) {
          steps.push_back(TrimMemory{device_id(device)});
          break;
        }
  }

  double seconds_of(const std::vector<Step>& steps) const {
    double sum = 0;
    for (const Step& step : steps) {
      if (const auto* load = std::get_if<LoadWeights>(&step)) sum += load->seconds;
      if (const auto* copy = std::get_if<CopyValue>(&step)) sum += copy->seconds;
      if (const auto* run = std::get_if<RunNode>(&step)) sum += run->seconds;
      if (const auto* loop = std::get_if<RunLoop>(&step))
        sum += seconds_of(loop->body) * static_cast<double>(loop->iterations.value_or(1) -
                                                            (loop->iterations ? loop->first : 0));
    }
    return sum;
  }

  const Decision& d_;
  const std::vector<Residency>& weights_;
  const std::vector<Replica> replicas_;
  const std::vector<std::vector<Bytes>> usage_;  // by device, by position
  ExecutionPlan plan_;
};

}  // namespace

ExecutionPlan write_plan(const Decision& decision) { return PlanWriter(decision).write(); }

}  // namespace emulsion

#include "plan/execution_plan.h"

#include <algorithm>
#include <limits>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "plan/residency.h"
#include "plan/timeline.h"

namespace emulsion {
namespace {

// A stretch of the run order that is planned as one: a node run, or a loop with its pinned weights.
struct Unit {
  std::size_t first = 0, last = 0;  // positions, inclusive
  std::optional<LoopId> loop;
};

class Planner {
 public:
  Planner(const Graph& graph, const Forecasts& forecasts, const std::vector<DeviceBudget>& devices)
      : graph_(graph),
        forecasts_(forecasts),
        timeline_(make_timeline(graph)),
        compute_(DeviceId{0}),
        host_(static_cast<DeviceId>(devices.size() - 1)),
        homes_(graph.values.size(), DeviceId{0}) {
    for (const DeviceBudget& device : devices) plan_.devices.push_back({device, 0});
    plan_.dtype = forecasts.dtype;
  }

  ExecutionPlan make() {
    check_budget();
    choose_variants();
    const std::vector<Unit> units = split_into_units();
    std::vector<ResidencyNeed> needs;
    for (const Unit& unit : units) needs.push_back(need_of(unit));
    const auto changes = plan_residency(needs, forecasts_.weights, capacity());
    for (std::size_t u = 0; u < units.size(); ++u) emit_unit(units[u], changes[u]);
    return std::move(plan_);
  }

 private:
  Bytes capacity() const { return plan_.device(compute_).capacity; }

  const GraphNode& node_at(std::size_t position) const {
    return graph_.node(timeline_.runs[position]);
  }

  DeviceId device_of(const GraphNode& node) const {
    return node.type->runs_on == Home::Host ? host_ : compute_;
  }

  // Values that nodes of a device may hold count there all their life, before a move, too.
  bool counts_on(const ValueInfo& value, DeviceId device) const {
    return compute_ == host_ || (value.type.home == Home::Host ? host_ : compute_) == device;
  }

  Bytes live_values(std::size_t position, DeviceId device) const {
    Bytes sum = 0;
    for (std::size_t v = 0; v < graph_.values.size(); ++v)
      if (timeline_.lifetimes[v].covers(position) && counts_on(graph_.values[v], device))
        sum += bytes_of(forecasts_.values[v]);
    return sum;
  }

  const VariantForecast& variant_at(std::size_t position) const {
    return forecasts_.variants[index(timeline_.runs[position])][variants_[position]];
  }

  ResidencyNeed need_at(std::size_t position, const VariantForecast& variant) const {
    const GraphNode& node = node_at(position);
    ResidencyNeed need{{}, live_values(position, device_of(node)) + variant.workspace};
    for (const SlotSpec& slot : node.type->slots)
      if (slot.has_weights) need.weights.insert(node.slots.at(slot.name));
    return need;
  }

  Bytes smallest_need(std::size_t position) const {
    Bytes smallest = std::numeric_limits<Bytes>::max();
    for (const VariantForecast& variant : forecasts_.variants[index(timeline_.runs[position])])
      smallest = std::min(smallest, bytes_of(need_at(position, variant), forecasts_.weights));
    return smallest;
  }

  // Each node must fit by itself in its leanest variant; beyond that, eviction makes room.
  void check_budget() const {
    std::size_t worst = 0;
    Bytes most = 0;
    for (std::size_t p = 0; p < timeline_.runs.size(); ++p) {
      if (device_of(node_at(p)) != compute_) continue;
      const Bytes need = smallest_need(p);
      if (need > most) {
        most = need;
        worst = p;
      }
    }
    if (most <= capacity()) return;
    const DeviceBudget& device = plan_.device(compute_);
    throw PlanError(str(node_at(worst).place, ": does not fit on ", device.name, ": needs ",
                        format_bytes(most), ", the budget is ", format_bytes(device.capacity),
                        "; the smallest budget for this graph is --device ", device.name, "=",
                        (most + kMiB - 1) / kMiB, "MiB, or take a smaller width, height or batch"));
  }

  void choose_variants() {
    for (std::size_t p = 0; p < timeline_.runs.size(); ++p) {
      const auto& variants = forecasts_.variants[index(timeline_.runs[p])];
      const auto fits = [&](const VariantForecast& variant) {
        return bytes_of(need_at(p, variant), forecasts_.weights) <= capacity();
      };
      const auto chosen = std::ranges::find_if(variants, fits);
      const bool found = chosen != variants.end();
      variants_.push_back(found ? static_cast<std::size_t>(chosen - variants.begin())
                                : variants.size() - 1);
    }
  }

  std::vector<Unit> split_into_units() const {
    std::vector<Unit> units;
    for (std::size_t p = 0; p < timeline_.runs.size(); ++p) {
      const std::optional<LoopId> loop = timeline_.loop_at[p];
      if (loop && !units.empty() && units.back().loop == loop)
        units.back().last = p;
      else
        units.push_back({p, p, loop});
    }
    return units;
  }

  std::vector<ResidencyNeed> body_needs(const Unit& unit) const {
    std::vector<ResidencyNeed> needs;
    for (std::size_t p = unit.first; p <= unit.last; ++p)
      needs.push_back(need_at(p, variant_at(p)));
    return needs;
  }

  ResidencyNeed need_of(const Unit& unit) const {
    const std::vector<ResidencyNeed> body = body_needs(unit);
    if (!unit.loop) return body.front();
    ResidencyNeed need{pinned_in_loop(body, forecasts_.weights, capacity()), 0};
    for (ResidencyNeed run : body) {
      std::erase_if(run.weights, [&](ComponentId id) { return need.weights.contains(id); });
      need.transient = std::max(need.transient, bytes_of(run, forecasts_.weights));
    }
    return need;
  }

  void emit_unit(const Unit& unit, const ResidencyChange& change) {
    for (const ComponentId id : change.evict) plan_.steps.push_back(EvictWeights{id, compute_});
    for (const ComponentId id : change.load) emit_load(plan_.steps, id);
    if (unit.loop)
      emit_loop(unit, change.resident);
    else
      emit_run(plan_.steps, unit.first, change.resident);
    for (const ComponentId id : change.release) plan_.steps.push_back(EvictWeights{id, compute_});
  }

  void emit_load(std::vector<Step>& steps, ComponentId id) const {
    steps.push_back(LoadWeights{id, compute_, forecasts_.weights[index(id)]});
  }

  void emit_loop(const Unit& unit, Bytes resident) {
    const Loop& loop = graph_.loop(*unit.loop);
    emit_loop_entry(unit, loop);
    const std::vector<ResidencyNeed> body = body_needs(unit);
    const auto pinned = pinned_in_loop(body, forecasts_.weights, capacity());
    RunLoop run{*unit.loop, forecasts_.iterations[index(*unit.loop)], {}};
    for (std::size_t p = unit.first; p <= unit.last; ++p) {
      std::vector<ComponentId> passing;  // weights that stay only for this run
      Bytes extra = 0;
      for (const ComponentId id : body[p - unit.first].weights)
        if (!pinned.contains(id)) {
          passing.push_back(id);
          extra += forecasts_.weights[index(id)];
        }
      for (const ComponentId id : passing) emit_load(run.body, id);
      emit_run(run.body, p, resident + extra);
      for (const ComponentId id : passing) run.body.push_back(EvictWeights{id, compute_});
    }
    emit_carries(run, loop);
    plan_.steps.push_back(std::move(run));
    emit_loop_exit(unit, loop);
  }

  // Outer values go where the body reads them, once; carries take their first values over.
  void emit_loop_entry(const Unit& unit, const Loop& loop) {
    BindValues bind;
    for (const Carry& carry : loop.carries) {
      if (!carry.from) continue;
      bind.pairs.push_back({carry.current, *carry.from});
      if (const auto* from = std::get_if<ValueId>(&*carry.from)) {
        emit_move(plan_.steps, *from, home_of(graph_.value(carry.current)));
        homes_[index(carry.current)] = homes_[index(*from)];
      }
    }
    for (std::size_t p = unit.first; p <= unit.last; ++p)
      for (const auto& [port, operand] : node_at(p).inputs)
        if (const auto* value = std::get_if<ValueId>(&operand))
          if (timeline_.lifetimes[index(*value)].first < unit.first)
            emit_move(plan_.steps, *value, wanted_home(*value, node_at(p)));
    plan_.steps.push_back(bind);
    for (const BindValues::Pair& pair : bind.pairs)
      if (const auto* from = std::get_if<ValueId>(&pair.from))
        if (timeline_.lifetimes[index(*from)].last < unit.first)
          plan_.steps.push_back(ReleaseValue{*from});
  }

  void emit_carries(RunLoop& run, const Loop& loop) {
    BindValues bind;
    for (const Carry& carry : loop.carries) {
      emit_move(run.body, carry.next, home_of(graph_.value(carry.current)));
      bind.pairs.push_back({carry.current, carry.next});
    }
    if (bind.pairs.empty()) return;
    run.body.push_back(bind);
    for (const Carry& carry : loop.carries) {
      const auto is_current = [&](const Carry& other) { return other.current == carry.next; };
      if (std::ranges::none_of(loop.carries, is_current))
        run.body.push_back(ReleaseValue{carry.next});
    }
  }

  void emit_loop_exit(const Unit& unit, const Loop& loop) {
    BindValues bind;
    for (const Carry& carry : loop.carries) {
      const Lifetime& lifetime = timeline_.lifetimes[index(carry.last)];
      if (lifetime.last < lifetime.first && !is_output(carry.last)) continue;
      bind.pairs.push_back({carry.last, carry.current});
      homes_[index(carry.last)] = homes_[index(carry.current)];
    }
    if (!bind.pairs.empty()) plan_.steps.push_back(bind);
    for (const Carry& carry : loop.carries) plan_.steps.push_back(ReleaseValue{carry.current});
    emit_releases(plan_.steps, unit.last, std::nullopt);
  }

  bool is_output(ValueId value) const {
    return std::ranges::find(graph_.outputs, value, &GraphOutput::value) != graph_.outputs.end();
  }

  DeviceId home_of(const ValueInfo& value) const {
    return value.type.home == Home::Host ? host_ : compute_;
  }

  // Host values stay where code can read them; others go where the reader computes.
  DeviceId wanted_home(ValueId value, const GraphNode& reader) const {
    return graph_.value(value).type.home == Home::Host ? host_ : device_of(reader);
  }

  void emit_move(std::vector<Step>& steps, ValueId value, DeviceId to) {
    DeviceId& home = homes_[index(value)];
    if (home == to) return;
    steps.push_back(MoveValue{value, home, to, bytes_of(forecasts_.values[index(value)])});
    home = to;
  }

  void emit_run(std::vector<Step>& steps, std::size_t position, Bytes resident) {
    const GraphNode& node = node_at(position);
    const DeviceId device = device_of(node);
    for (const auto& [port, operand] : node.inputs)
      if (const auto* value = std::get_if<ValueId>(&operand))
        emit_move(steps, *value, wanted_home(*value, node));
    const VariantForecast& variant = variant_at(position);
    const ResidencyNeed need = need_at(position, variant);
    RunNode run{timeline_.runs[position], device, variant.variant, {}, need.transient};
    run.estimate.workspace = variant.workspace;
    for (const ComponentId id : need.weights) run.estimate.weights += forecasts_.weights[index(id)];
    for (const auto& [port, value] : node.outputs) {
      run.estimate.outputs += bytes_of(forecasts_.values[index(value)]);
      homes_[index(value)] = graph_.value(value).type.home == Home::Host ? host_ : device;
    }
    if (device == compute_) run.peak += resident;
    Bytes& peak = plan_.devices[static_cast<std::size_t>(device)].peak;
    peak = std::max(peak, run.peak);
    steps.push_back(std::move(run));
    emit_releases(steps, position, timeline_.loop_at[position]);
  }

  // Lets go of what nobody reads after `position`.  Inside a loop only values of its body die; what
  // a carry reads next dies when it has been carried.
  void emit_releases(std::vector<Step>& steps, std::size_t position, std::optional<LoopId> loop) {
    for (std::size_t v = 0; v < graph_.values.size(); ++v) {
      const ValueId value{static_cast<std::uint32_t>(v)};
      const Lifetime& lifetime = timeline_.lifetimes[v];
      if (lifetime.last < lifetime.first || lifetime.last != position || is_output(value)) continue;
      if (is_loop_index(value)) continue;
      const bool of_body = loop && lifetime.first >= timeline_.loops[index(*loop)].first;
      const bool inside = timeline_.loop_at[lifetime.first].has_value() &&
                          timeline_.loop_at[lifetime.first] == timeline_.loop_at[position];
      if (loop ? of_body && !is_carried(value, *loop) : !inside && !taken_over(value))
        steps.push_back(ReleaseValue{value});
    }
  }

  bool is_loop_index(ValueId value) const {
    return std::ranges::find(graph_.loops, value, &Loop::index) != graph_.loops.end();
  }

  bool is_carried(ValueId value, LoopId loop) const {
    const auto& carries = graph_.loop(loop).carries;
    return std::ranges::find(carries, value, &Carry::next) != carries.end();
  }

  // A loop's entry releases what only its carries still wanted.
  bool taken_over(ValueId value) const {
    const std::size_t last = timeline_.lifetimes[index(value)].last;
    for (std::size_t i = 0; i < graph_.loops.size(); ++i)
      for (const Carry& carry : graph_.loops[i].carries)
        if (carry.from == Operand(value) && last < timeline_.loops[i].first) return true;
    return false;
  }

  const Graph& graph_;
  const Forecasts& forecasts_;
  const Timeline timeline_;
  const DeviceId compute_, host_;
  std::vector<DeviceId> homes_;        // by ValueId: where it is at this point of the plan
  std::vector<std::size_t> variants_;  // by position
  ExecutionPlan plan_;
};

}  // namespace

ExecutionPlan make_plan(const Graph& graph, const Forecasts& forecasts,
                        const std::vector<DeviceBudget>& devices) {
  return Planner(graph, forecasts, devices).make();
}

}  // namespace emulsion

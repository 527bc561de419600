#include "plan/placement_problem.h"

#include <algorithm>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

Where where_of(const Profile& profile, Phase phase) {
  switch (phase) {
    case Phase::Encode: return profile.encode;
    case Phase::Denoise: return profile.denoise;
    case Phase::Decode: return profile.decode;
    case Phase::Other: break;
  }
  return Where::Anywhere;
}

class ProblemMaker {
 public:
  ProblemMaker(const Graph& graph, const Forecasts& forecasts, const PlanRequest& request,
               const Timeline& timeline)
      : graph_(graph),
        forecasts_(forecasts),
        request_(request),
        timeline_(timeline),
        profile_(request.profile != nullptr ? *request.profile : find_profile("auto")) {}

  PlacementProblem make() {
    problem_.after_use = profile_.after_use;
    problem_.streams = profile_.streams;
    problem_.repeats = request_.repeats;
    add_devices();
    add_components();
    add_loops();
    for (std::size_t p = 0; p < timeline_.runs.size(); ++p) add_run(p);
    add_values();
    return std::move(problem_);
  }

 private:
  void add_devices() {
    for (std::size_t d = 0; d < request_.devices.size(); ++d) {
      const DeviceSpeed& speed = request_.speeds[d];
      const bool is_host = d + 1 == request_.devices.size();
      problem_.devices.push_back({.capacity = request_.devices[d].capacity,
                                  .mappable_seconds = 1 / (is_host ? speed.map : speed.read),
                                  .converted_seconds = 1 / speed.convert,
                                  .from_host = 1 / speed.from_host,
                                  .to_host = 1 / speed.to_host,
                                  .latency = is_host ? 0 : speed.latency,
                                  .copies_beside = speed.copies_beside && !is_host});
    }
  }

  void add_components() {
    for (const ComponentForecast& forecast : forecasts_.components)
      problem_.components.push_back(
          {.bytes = forecast.bytes,
           .blocks = forecast.blocks,
           .with_prefetch = stream_levels(forecast.bytes, forecast.blocks, true),
           .without_prefetch = stream_levels(forecast.bytes, forecast.blocks, false),
           .mapped = share(static_cast<double>(forecast.mapped), forecast),
           .staging = forecast.staging,
           .changing_seconds =
               share(seconds_of(forecast.changes, request_.speeds.back(), c10::ScalarType::Float),
                     forecast),
           .changing = forecast.changing});
    for (const StartingPoint::Resident& resident : request_.start.residents) {
      StreamLevel level{.held = resident.held,
                        .streamed = 0,
                        .prefetch = resident.prefetch,
                        .blocks = resident.streamed};
      const auto& blocks = problem_.components[index(resident.component)].blocks;
      for (const std::size_t block : resident.streamed) level.streamed += blocks[block];
      problem_.residents.push_back(
          {index(resident.component), index(resident.device), std::move(level)});
    }
  }

  // For each byte of the component.
  static double share(double amount, const ComponentForecast& component) {
    return component.bytes == 0 ? 0 : amount / static_cast<double>(component.bytes);
  }

  void add_loops() {
    for (std::size_t i = 0; i < graph_.loops.size(); ++i) {
      const auto& known = forecasts_.iterations[i];
      double iterations = known ? static_cast<double>(*known) : kAssumedIterations;
      if (request_.start.loop == static_cast<LoopId>(i))
        iterations -= static_cast<double>(request_.start.iteration);
      problem_.loops.push_back(
          {timeline_.loops[i].begin, timeline_.loops[i].end, std::max(iterations, 0.0)});
    }
  }

  void add_run(std::size_t position) {
    const GraphNode& node = graph_.node(timeline_.runs[position]);
    PlacementRun run;
    if (const auto loop = timeline_.loop_at[position]) run.loop = index(*loop);
    for (const ComponentId component : components_of(graph_, node))
      run.components.push_back(index(component));
    for (std::size_t d = 0; d < problem_.devices.size(); ++d)
      if (may_run(node, d)) add_options(position, d, run);
    if (run.options.empty())
      throw PlanError(str(node.place, ": --profile ", profile_.name,
                          " wants an accelerator, and the devices are the cpu alone; name one with "
                          "--device, or take --profile cpu_only"));
    problem_.runs.push_back(std::move(run));
  }

  bool may_run(const GraphNode& node, std::size_t device) const {
    const bool is_host = device == problem_.host();
    if (node.type->runs_on == Home::Host) return is_host;
    switch (where_of(profile_, node.type->phase)) {
      case Where::Anywhere: return true;
      case Where::Accelerator: return !is_host;
      case Where::Host: return is_host;
    }
    return true;
  }

  // Variants that are slower and need no less are left out, and those that need more than the one
  // that a profile asks for.
  void add_options(std::size_t position, std::size_t device, PlacementRun& run) const {
    const NodeId id = timeline_.runs[position];
    const GraphNode& node = graph_.node(id);
    const auto& variants = forecasts_.variants[index(id)];
    const auto& names = node.type->variants;
    const auto asked = std::ranges::find(names, profile_.guidance);
    const bool guided = node.type->phase == Phase::Denoise && asked != names.end();
    std::optional<Bytes> leanest;
    for (auto v = guided ? static_cast<std::size_t>(asked - names.begin()) : 0; v < variants.size();
         ++v) {
      const PlacementOption option{
          .device = device,
          .variant = v,
          .workspace = variants[v].workspace_on(request_.devices[device]),
          .seconds = seconds_of(variants[v].work, request_.speeds[device], forecasts_.dtype),
          .passes = variants[v].passes,
          .memo = variants[v].memo};
      if (leanest && option.bytes() >= *leanest) continue;
      leanest = option.bytes();
      run.options.push_back(option);
    }
  }

  void add_values() {
    problem_.values.resize(graph_.values.size());
    for (std::size_t v = 0; v < graph_.values.size(); ++v) add_made(v);
    for (std::size_t p = 0; p < timeline_.runs.size(); ++p) add_inputs(p);
    for (std::size_t i = 0; i < graph_.loops.size(); ++i) add_carries(static_cast<LoopId>(i));
    for (const GraphOutput& output : graph_.outputs) {
      const std::size_t end = timeline_.runs.size();
      if (end > 0) add_read(output.value, {kNone, end - 1, end, end, 1});
    }
  }

  // What a node makes is there from its run on, even if nobody reads it.
  void add_made(std::size_t v) {
    PlacementValue& value = problem_.values[v];
    const bool stays_on_host = graph_.values[v].type.home == Home::Host;
    if (timeline_.made_at[v]) {
      value.bytes = bytes_of(forecasts_.values[v]);
      value.home = stays_on_host ? kNone : *timeline_.made_at[v];
      value.begin = *timeline_.made_at[v];
      value.end = value.begin + 1;
    } else if (timeline_.given[v]) {
      value.bytes = bytes_of(forecasts_.values[v]);
    }
  }

  void add_read(ValueId id, PlacementValue::Read read) {
    PlacementValue& value = problem_.values[index(id)];
    if (graph_.value(id).type.home == Home::Host) read.position = kNone;
    value.reads.push_back(read);
  }

  bool is_inside(ValueId value, LoopId loop) const {
    const auto& made = timeline_.made_at[index(value)];
    if (made) return timeline_.loop_at[*made] == loop;
    for (const Carry& carry : graph_.loop(loop).carries)
      if (carry.current == value) return true;
    return graph_.loop(loop).index == value;
  }

  // What a body reads from outside is there for the whole loop.
  void add_inputs(std::size_t position) {
    const std::optional<LoopId> loop = timeline_.loop_at[position];
    for (const auto& [port, operand] : graph_.node(timeline_.runs[position]).inputs) {
      const auto* value = std::get_if<ValueId>(&operand);
      if (value == nullptr) continue;
      if (loop && !is_inside(*value, *loop)) {
        const Timeline::Span& span = timeline_.loops[index(*loop)];
        add_read(*value, {position, span.begin, span.end, span.begin, 1});
      } else {
        const double times = loop ? problem_.loops[index(*loop)].iterations : 1;
        add_read(*value, {position, position, position + 1, position, times});
      }
    }
  }

  // The position whose device a carry stays on: where its next value is made.
  std::size_t home_of(const Loop& loop, const Carry& carry) const {
    ValueId next = carry.next;
    for (std::size_t hops = 0; hops <= loop.carries.size(); ++hops) {
      if (graph_.value(next).type.home == Home::Host) return kNone;
      if (const auto& made = timeline_.made_at[index(next)]) return *made;
      const auto other = std::ranges::find(loop.carries, next, &Carry::current);
      if (other == loop.carries.end()) return kNone;
      next = other->next;
    }
    return kNone;  // carries that only change places
  }

  // A carry is there for the whole body, so that an iteration which failed can be run again.
  void add_carries(LoopId id) {
    const Loop& loop = graph_.loop(id);
    const Timeline::Span& span = timeline_.loops[index(id)];
    if (span.begin == span.end) return;
    if (const auto* count = std::get_if<ValueId>(&loop.count))
      add_read(*count, {kNone, span.begin, span.begin, span.begin, 1});
    for (const Carry& carry : loop.carries) {
      const std::size_t home = home_of(loop, carry);
      const Bytes bytes = bytes_of(forecasts_.values[index(carry.next)]);
      place(carry.current, bytes, home, span.begin, span.end);
      place(carry.last, bytes, home, span.end, span.end);
      add_read(carry.next, {home, span.end - 1, span.end, span.end, 1});
      if (!carry.from) continue;
      if (const auto* from = std::get_if<ValueId>(&*carry.from))
        add_read(*from, {home, span.begin, span.begin, span.begin, 1});
    }
  }

  void place(ValueId id, Bytes bytes, std::size_t home, std::size_t begin, std::size_t end) {
    PlacementValue& value = problem_.values[index(id)];
    value.bytes = bytes;
    value.home = home;
    value.begin = begin;
    value.end = end;
  }

  const Graph& graph_;
  const Forecasts& forecasts_;
  const PlanRequest& request_;
  const Timeline& timeline_;
  const Profile& profile_;
  PlacementProblem problem_;
};

}  // namespace

PlacementProblem make_problem(const Graph& graph, const Forecasts& forecasts,
                              const PlanRequest& request, const Timeline& timeline) {
  return ProblemMaker(graph, forecasts, request, timeline).make();
}

}  // namespace emulsion

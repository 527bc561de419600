#include "plan/residency.h"

#include <algorithm>
#include <limits>

namespace emulsion {
namespace {

using Station = Residency::Station;

double times_at(const PlacementProblem& problem, std::size_t position) {
  const std::size_t loop = problem.runs[position].loop;
  return loop == kNone ? 1 : problem.loops[loop].iterations;
}

// Loads in one run of the graph.
double loads_of(const PlacementProblem& problem, const Residency& weights) {
  double loads = 0;
  for (const Station& station : weights.stations) {
    if (station.kept_before) continue;
    if (station.loop == kNone || station.pinned) {
      loads += 1;
      continue;
    }
    const auto gaps = static_cast<double>(std::ranges::count(station.stays, false));
    loads += problem.loops[station.loop].iterations * (1 + gaps);
  }
  return loads;
}

// Seconds that one run waits for the blocks of these weights.
double stream_wait(const PlacementProblem& problem, const PlacementOption& option,
                   const Residency& weights) {
  if (weights.level.blocks.empty()) return 0;
  const PlacementDevice& device = problem.devices[weights.device];
  const auto bytes = static_cast<double>(weights.level.streamed) * option.passes;
  const bool mappable = problem.components[weights.component].mappable;
  const double rate = weights.via_host
                          ? device.from_host
                          : (mappable ? device.mappable_seconds : device.converted_seconds);
  const double seconds = bytes * rate + device.latency * option.passes *
                                            static_cast<double>(weights.level.blocks.size());
  const bool beside = weights.level.prefetch && device.copies_beside;
  return beside ? std::max(0.0, seconds - option.seconds) : seconds;
}

// Seconds for everything that has to do with these weights.
double cost_of(const PlacementProblem& problem, const Assignment& assignment,
               const Residency& weights) {
  const double load = load_seconds(problem, weights);
  double seconds = load * loads_of(problem, weights);
  const bool returns = problem.repeats && problem.after_use != AfterUse::Drop;
  if (returns && !weights.kept_after && (!weights.stations.empty() || weights.resident))
    seconds += load;
  if (weights.via_host) {
    const PlacementComponent& component = problem.components[weights.component];
    seconds += file_seconds(problem.devices.back(), component.mappable, component.bytes);
  }
  for (const Station& station : weights.stations)
    for (const std::size_t use : station.uses)
      seconds += times_at(problem, use) *
                 stream_wait(problem, problem.runs[use].options[assignment[use]], weights);
  return seconds;
}

using Usage = std::vector<std::vector<Bytes>>;  // by device, by position

void add(std::vector<Bytes>& usage, std::size_t begin, std::size_t end, Bytes bytes) {
  for (std::size_t p = begin; p < std::min(end, usage.size()); ++p) usage[p] += bytes;
}

void add_weights(const PlacementProblem& problem, const Residency& weights, Usage& usage) {
  std::vector<Bytes>& device = usage[weights.device];
  const Bytes held = weights.level.held;
  std::size_t before = 0;
  for (const Station& station : weights.stations) {
    if (station.kept_before) add(device, before, station.begin, held);
    before = station.end;
    if (station.loop == kNone || station.pinned) {
      add(device, station.begin, station.end, held);
      continue;
    }
    for (std::size_t i = 0; i < station.uses.size(); ++i) {
      const bool stays = i < station.stays.size() && station.stays[i];
      add(device, station.uses[i], stays ? station.uses[i + 1] : station.uses[i] + 1, held);
    }
  }
  if (weights.kept_after) add(device, before, device.size(), held);
  if (weights.via_host)
    add(usage.back(), weights.stations.front().begin, weights.host_end(),
        problem.components[weights.component].bytes);
}

Usage base_usage(const PlacementProblem& problem, const Assignment& assignment) {
  Usage usage(problem.devices.size(), std::vector<Bytes>(problem.runs.size(), 0));
  for (const Replica& replica : replicas_of(problem, assignment))
    add(usage[replica.device], replica.begin, replica.end, problem.values[replica.value].bytes);
  for (std::size_t p = 0; p < problem.runs.size(); ++p) {
    const PlacementOption& option = problem.runs[p].options[assignment[p]];
    Bytes workspace = option.workspace;
    if (option.device == problem.host())  // weights are read before the run, and then staging ends
      for (const std::size_t component : problem.runs[p].components)
        workspace = std::max(workspace, problem.components[component].staging);
    usage[option.device][p] += workspace;
  }
  return usage;
}

double base_seconds(const PlacementProblem& problem, const Assignment& assignment) {
  double seconds = 0;
  for (std::size_t p = 0; p < problem.runs.size(); ++p)
    seconds += times_at(problem, p) * problem.runs[p].options[assignment[p]].seconds;
  std::size_t home = 0;
  for (const Replica& replica : replicas_of(problem, assignment)) {
    if (replica.is_home)
      home = replica.device;
    else
      seconds += replica.times *
                 copy_seconds(problem, home, replica.device, problem.values[replica.value].bytes);
  }
  return seconds;
}

// Searches the ways to make everything fit, beginning with all weights staying wherever they can.
class ResidencySearch {
 public:
  ResidencySearch(const PlacementProblem& problem, const Assignment& assignment, std::size_t effort)
      : problem_(problem),
        assignment_(assignment),
        effort_(effort),
        base_(base_usage(problem, assignment)),
        base_seconds_(base_seconds(problem, assignment)) {
    best_.overshoot = std::numeric_limits<Bytes>::max();
    best_.seconds = std::numeric_limits<double>::infinity();
  }

  ResidencyPlan search() {
    State state;
    make_residencies(state);
    visit(state);
    return std::move(best_);
  }

 private:
  struct State {
    std::vector<Residency> weights;
    std::vector<bool> host_locked;  // no copy in host memory, whatever it would save
  };
  struct Violation {
    std::size_t device = kNone, position = kNone;
    Bytes overshoot = 0;
  };

  void make_residencies(State& state) const {
    const std::size_t devices = problem_.devices.size();
    std::vector<std::size_t> slot(problem_.components.size() * devices, kNone);
    const auto residency_at = [&](std::size_t component, std::size_t device) -> Residency& {
      std::size_t& found = slot[component * devices + device];
      if (found == kNone) {
        found = state.weights.size();
        Residency& made = state.weights.emplace_back();
        made.component = component;
        made.device = device;
        made.level.held = problem_.components[component].bytes;
      }
      return state.weights[found];
    };
    for (std::size_t p = 0; p < problem_.runs.size(); ++p)
      for (const std::size_t component : problem_.runs[p].components)
        add_use(residency_at(component, device_at(problem_, assignment_, p)), p);
    for (const PlacementResident& resident : problem_.residents) {
      Residency& weights = residency_at(resident.component, resident.device);
      weights.resident = resident.level;
      weights.level = resident.level;
      if (!weights.stations.empty()) weights.stations.front().kept_before = true;
    }
    for (const Residency& weights : state.weights) {
      const bool on_host = slot[weights.component * devices + problem_.host()] != kNone;
      state.host_locked.push_back(on_host);
    }
    const bool stays = problem_.repeats ? problem_.after_use != AfterUse::Drop
                                        : problem_.after_use == AfterUse::Stay;
    for (Residency& weights : state.weights) weights.kept_after = stays;
  }

  void add_use(Residency& weights, std::size_t position) const {
    const std::size_t loop = problem_.runs[position].loop;
    auto& stations = weights.stations;
    if (loop != kNone && !stations.empty() && stations.back().loop == loop) {
      stations.back().uses.push_back(position);
      stations.back().stays.push_back(true);
      return;
    }
    Station station{.begin = position, .end = position + 1, .uses = {position}, .loop = loop};
    if (loop != kNone) {
      station.begin = problem_.loops[loop].begin;
      station.end = problem_.loops[loop].end;
    }
    station.kept_before = !stations.empty();
    stations.push_back(std::move(station));
  }

  double seconds_of(const State& state) const {
    double seconds = base_seconds_;
    for (const Residency& weights : state.weights)
      seconds += cost_of(problem_, assignment_, weights);
    return seconds;
  }

  Violation worst_of(const State& state) const {
    Usage usage = base_;
    for (const Residency& weights : state.weights) add_weights(problem_, weights, usage);
    Violation worst;
    for (std::size_t d = 0; d < usage.size(); ++d)
      for (std::size_t p = 0; p < usage[d].size(); ++p) {
        const Bytes over = usage[d][p] - problem_.devices[d].capacity;
        if (over > worst.overshoot) worst = {d, p, over};
      }
    return worst;
  }

  void visit(const State& state) {
    const double seconds = seconds_of(state);
    const bool fits_already = best_.overshoot == 0;
    if (fits_already && (seconds >= best_.seconds || effort_ == 0)) return;
    if (effort_ > 0) --effort_;
    const Violation worst = worst_of(state);
    if (worst.overshoot == 0) {
      best_ = {state.weights, seconds, 0, kNone};
      return;
    }
    std::vector<State> next = ways_out(state, worst);
    if (next.empty()) {
      if (worst.overshoot < best_.overshoot)
        best_ = {state.weights, seconds, worst.overshoot, worst.position};
      return;
    }
    std::vector<std::pair<double, std::size_t>> order;
    for (std::size_t i = 0; i < next.size(); ++i) order.emplace_back(seconds_of(next[i]), i);
    std::ranges::sort(order);
    for (const auto& [cost, i] : order) {
      visit(next[i]);
      if (effort_ == 0) return;  // the first dive has ended, well or not
    }
  }

  std::vector<State> ways_out(const State& state, const Violation& worst) const {
    std::vector<State> ways;
    for (std::size_t w = 0; w < state.weights.size(); ++w) {
      const Residency& weights = state.weights[w];
      if (weights.device == worst.device) {
        leave_gap(state, w, worst.position, ways);
        stream(state, w, worst, ways);
      }
      if (weights.via_host && worst.device == problem_.host() &&
          weights.stations.front().begin <= worst.position && worst.position < weights.host_end()) {
        State without = state;
        without.weights[w].via_host = false;
        without.host_locked[w] = true;
        ways.push_back(std::move(without));
      }
    }
    return ways;
  }

  // Adds the state, by way of host memory or not, whichever takes less time.
  void add_way(State state, std::size_t w, std::vector<State>& ways) const {
    Residency& weights = state.weights[w];
    const bool can =
        !state.host_locked[w] && weights.device != problem_.host() && !weights.stations.empty();
    weights.via_host = false;
    const double direct = cost_of(problem_, assignment_, weights);
    weights.via_host = can;
    if (can && cost_of(problem_, assignment_, weights) >= direct) weights.via_host = false;
    ways.push_back(std::move(state));
  }

  // Lets weights go where they only wait for their next use.
  void leave_gap(const State& state, std::size_t w, std::size_t position,
                 std::vector<State>& ways) const {
    if (problem_.after_use == AfterUse::Stay) return;
    const auto& stations = state.weights[w].stations;
    State changed = state;
    Residency& weights = changed.weights[w];
    std::size_t before = 0;
    for (std::size_t i = 0; i < stations.size(); ++i) {
      const Station& station = stations[i];
      if (station.kept_before && before <= position && position < station.begin) {
        weights.stations[i].kept_before = false;
        return add_way(std::move(changed), w, ways);
      }
      if (station.begin <= position && position < station.end)
        return leave_in_loop(std::move(changed), w, i, position, ways);
      before = station.end;
    }
    if (weights.kept_after && position >= before) {
      weights.kept_after = false;
      add_way(std::move(changed), w, ways);
    }
  }

  void leave_in_loop(State state, std::size_t w, std::size_t i, std::size_t position,
                     std::vector<State>& ways) const {
    auto& stations = state.weights[w].stations;
    Station& station = stations[i];
    if (station.loop == kNone || std::ranges::find(station.uses, position) != station.uses.end())
      return;
    if (station.pinned) {
      station.pinned = false;
      station.kept_before = false;
      if (i + 1 < stations.size())
        stations[i + 1].kept_before = false;
      else
        state.weights[w].kept_after = false;
      return add_way(std::move(state), w, ways);
    }
    for (std::size_t u = 0; u < station.stays.size(); ++u)
      if (station.stays[u] && station.uses[u] < position && position < station.uses[u + 1]) {
        station.stays[u] = false;
        return add_way(std::move(state), w, ways);
      }
  }

  bool covers(const Residency& weights, std::size_t position) const {
    Usage usage(problem_.devices.size(), std::vector<Bytes>(problem_.runs.size(), 0));
    add_weights(problem_, weights, usage);
    return usage[weights.device][position] > 0;
  }

  // Holds less of the weights: as much less as is missing, or as little as can be.
  void stream(const State& state, std::size_t w, const Violation& worst,
              std::vector<State>& ways) const {
    const Residency& weights = state.weights[w];
    const PlacementComponent& component = problem_.components[weights.component];
    if (!problem_.streams || component.blocks.empty() || !covers(weights, worst.position)) return;
    for (const auto* levels : {&component.with_prefetch, &component.without_prefetch}) {
      const StreamLevel* chosen = nullptr;
      for (const StreamLevel& level : *levels) {
        const Bytes held = level.held + staging(weights, level);
        if (held >= weights.level.held) continue;
        chosen = &level;
        if (held <= weights.level.held - worst.overshoot) break;
      }
      if (chosen == nullptr) continue;
      State changed = state;
      Residency& streamed = changed.weights[w];
      streamed.level = *chosen;
      streamed.level.held += staging(weights, *chosen);
      if (streamed.resident && !streamed.stations.empty())
        streamed.stations.front().kept_before = false;
      add_way(std::move(changed), w, ways);
    }
  }

  // Blocks are read while the node works, and then staging is there, too.
  Bytes staging(const Residency& weights, const StreamLevel& level) const {
    const bool reads = weights.device == problem_.host() && !level.blocks.empty();
    return reads ? problem_.components[weights.component].staging : 0;
  }

  const PlacementProblem& problem_;
  const Assignment& assignment_;
  std::size_t effort_;
  const Usage base_;
  const double base_seconds_;
  ResidencyPlan best_;
};

}  // namespace

std::size_t Residency::host_end() const {
  std::size_t end = 0;
  for (const Station& station : stations) {
    const bool loads_inside = station.loop != kNone && !station.pinned;
    if (!level.blocks.empty() || loads_inside)
      end = station.end;
    else if (!station.kept_before)
      end = station.begin + 1;
  }
  return end;
}

double load_seconds(const PlacementProblem& problem, const Residency& weights) {
  const PlacementComponent& component = problem.components[weights.component];
  const PlacementDevice& device = problem.devices[weights.device];
  const Bytes passed = component.bytes - weights.level.streamed;
  if (weights.via_host) return device.latency + static_cast<double>(passed) * device.from_host;
  return device.latency + file_seconds(device, component.mappable, passed);
}

double run_seconds(const PlacementProblem& problem, const PlacementOption& option,
                   const std::vector<const Residency*>& weights) {
  double seconds = option.seconds;
  for (const Residency* held : weights) seconds += stream_wait(problem, option, *held);
  return seconds;
}

std::vector<std::vector<Bytes>> usage_of(const PlacementProblem& problem,
                                         const Assignment& assignment, const ResidencyPlan& plan) {
  Usage usage = base_usage(problem, assignment);
  for (const Residency& weights : plan.weights) add_weights(problem, weights, usage);
  return usage;
}

ResidencyPlan plan_residency(const PlacementProblem& problem, const Assignment& assignment,
                             std::size_t effort) {
  return ResidencySearch(problem, assignment, effort).search();
}

}  // namespace emulsion

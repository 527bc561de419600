#include "plan/residency.h"

#include <algorithm>
#include <limits>

#include "plan/residency_cost.h"

namespace emulsion {
namespace {

using Station = Residency::Station;

// Share of the time that streaming more than must be may cost, to be worth the copies.
constexpr double kWorthStreaming = 0.95;
// Levels beyond the one that fits which are looked at.
constexpr std::size_t kLeanerForms = 6;

// Searches the ways to make everything fit, beginning with all weights staying wherever they can.
class ResidencySearch {
 public:
  ResidencySearch(const PlacementProblem& problem, const Assignment& assignment, std::size_t effort,
                  double cutoff)
      : problem_(problem),
        assignment_(assignment),
        effort_(effort),
        cutoff_(cutoff),
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
    std::vector<Bytes> limits;      // that weights may hold
    std::vector<bool> host_locked;  // no copy in host memory, whatever it would save
    std::vector<bool> holds_most;   // no more is streamed than must be
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
        made.level = &problem_.components[component].with_prefetch.front();
        made.held = made.level->held;
      }
      return state.weights[found];
    };
    for (std::size_t p = 0; p < problem_.runs.size(); ++p)
      for (const std::size_t component : problem_.runs[p].components)
        add_use(residency_at(component, device_at(problem_, assignment_, p)), p);
    for (const PlacementResident& resident : problem_.residents) {
      Residency& weights = residency_at(resident.component, resident.device);
      weights.resident = weights.level = &resident.level;
      weights.held = resident.level.held;
      if (!weights.stations.empty()) weights.stations.front().kept_before = true;
    }
    const bool stays = problem_.repeats ? problem_.after_use != AfterUse::Drop
                                        : problem_.after_use == AfterUse::Stay;
    for (std::size_t w = 0; w < state.weights.size(); ++w) {
      Residency& weights = state.weights[w];
      weights.kept_after = stays;
      state.limits.push_back(problem_.components[weights.component].bytes);
      state.host_locked.push_back(slot[weights.component * devices + problem_.host()] != kNone);
      state.holds_most.push_back(!problem_.devices[weights.device].copies_beside);
      choose_form(state, w);
    }
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
    if (seconds >= cutoff_ && best_.overshoot > 0) {
      best_ = {state.weights, seconds, 0, kNone};
      return;
    }
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
        for (const auto locks : {&State::host_locked, &State::holds_most}) {
          if ((state.*locks)[w]) continue;
          State changed = state;
          (changed.*locks)[w] = true;
          add_way(std::move(changed), w, ways);
        }
      }
    }
    return ways;
  }

  // The fastest way to have weights within their limit: streamed or not, by way of host memory or
  // not.
  void choose_form(State& state, std::size_t w) const {
    Residency& weights = state.weights[w];
    if (weights.stations.empty()) return;
    const bool can = !state.host_locked[w] && weights.device != problem_.host();
    const bool was_kept = weights.stations.front().kept_before;
    Form best;
    double least = std::numeric_limits<double>::infinity();
    for (const Form& level : forms(state, w))
      for (const bool via_host : {false, true}) {
        if (via_host && !can) continue;
        Form form = level;
        form.via_host = via_host;
        take(weights, form, was_kept);
        const double cost = cost_of(problem_, assignment_, weights);
        const bool leaner = best.level != nullptr && form.held < best.held;
        if (cost >= (leaner ? least * kWorthStreaming : least)) continue;
        least = cost;
        best = form;
      }
    take(weights, best, was_kept);
  }

  // A way to have weights.
  struct Form {
    const StreamLevel* level = nullptr;
    Bytes held = 0;
    bool via_host = false;
  };

  static void take(Residency& weights, const Form& form, bool was_kept) {
    weights.level = form.level;
    weights.held = form.held;
    weights.via_host = form.via_host;
    const bool reloads = weights.resident != nullptr && form.level != weights.resident;
    weights.stations.front().kept_before = was_kept && !reloads;
  }

  // Levels within the limit.  Where copies cost no time of the device, it may be faster to stream
  // more than must be: the first blocks are then worked with while the next ones come.
  std::vector<Form> forms(const State& state, std::size_t w) const {
    const Residency& weights = state.weights[w];
    const PlacementComponent& component = problem_.components[weights.component];
    std::vector<Form> forms;
    if (weights.resident != nullptr && weights.resident->held <= state.limits[w] &&
        weights.stations.front().kept_before)
      forms.push_back({weights.resident, weights.resident->held});
    for (const auto* levels : {&component.with_prefetch, &component.without_prefetch})
      for (const StreamLevel& level : *levels) {
        if (!problem_.streams && !level.blocks.empty()) break;
        const Bytes held = level.held + staging(weights, level);
        if (held > state.limits[w]) continue;
        forms.push_back({&level, held});
        if (!problem_.streams || state.holds_most[w] || !level.prefetch) break;
        add_leaner(*levels, level, weights, forms);
        break;
      }
    return forms;
  }

  // A few of the levels that stream more than `most`.
  void add_leaner(const std::vector<StreamLevel>& levels, const StreamLevel& most,
                  const Residency& weights, std::vector<Form>& forms) const {
    const auto first = static_cast<std::size_t>(&most - levels.data()) + 1;
    const std::size_t step = std::max<std::size_t>(1, (levels.size() - first) / kLeanerForms);
    for (std::size_t i = first; i < levels.size(); i += step)
      forms.push_back({&levels[i], levels[i].held + staging(weights, levels[i])});
  }

  void add_way(State state, std::size_t w, std::vector<State>& ways) const {
    choose_form(state, w);
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
    const StreamLevel& leanest = component.without_prefetch.back();
    const Bytes least = leanest.held + staging(weights, leanest);
    if (least >= weights.held) return;
    State changed = state;
    changed.limits[w] = std::max(least, weights.held - worst.overshoot);
    add_way(std::move(changed), w, ways);
  }

  // Blocks are read while the node works, and then staging is there, too.
  Bytes staging(const Residency& weights, const StreamLevel& level) const {
    const bool reads = weights.device == problem_.host() && !level.blocks.empty();
    return reads ? problem_.components[weights.component].staging : 0;
  }

  const PlacementProblem& problem_;
  const Assignment& assignment_;
  std::size_t effort_;
  const double cutoff_;
  const Usage base_;
  const double base_seconds_;
  ResidencyPlan best_;
};

}  // namespace

ResidencyPlan plan_residency(const PlacementProblem& problem, const Assignment& assignment,
                             std::size_t effort, double cutoff) {
  return ResidencySearch(problem, assignment, effort, cutoff).search();
}

}  // namespace emulsion

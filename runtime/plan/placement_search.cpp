#include "plan/placement_search.h"

#include <algorithm>
#include <limits>
#include <map>

namespace emulsion {
namespace {

// States that the search for one assignment's residency looks at: few while many assignments are
// compared, more for the one that is kept.
constexpr std::size_t kQuickEffort = 40, kFullEffort = 2000;
constexpr std::size_t kMostBranches = 20000;  // of branch and bound
constexpr std::size_t kMostLeaves = 1500;     // assignments that it compares

class PlacementSearch {
 public:
  explicit PlacementSearch(const PlacementProblem& problem) : problem_(problem) {
    best_.overshoot = std::numeric_limits<Bytes>::max();
    for (std::size_t p = 0; p < problem.runs.size(); ++p) {
      const std::size_t loop = problem.runs[p].loop;
      times_.push_back(loop == kNone ? 1 : problem.loops[loop].iterations);
    }
  }

  Placement search() {
    for (const Assignment& start : starts()) descend(start);
    branch();
    ResidencyPlan plan = plan_residency(problem_, best_assignment_, kFullEffort);
    return {std::move(best_assignment_), std::move(plan)};
  }

 private:
  std::size_t options(std::size_t position) const { return problem_.runs[position].options.size(); }

  // The fastest or the leanest option on a device; of all devices, where it has none there.
  std::size_t option_on(std::size_t position, std::size_t device, bool leanest) const {
    const auto& all = problem_.runs[position].options;
    const auto rank = [&](const PlacementOption& option) {
      const double size = leanest ? static_cast<double>(option.bytes()) : option.seconds;
      return std::pair(option.device != device, size);
    };
    return static_cast<std::size_t>(std::ranges::min_element(all, {}, rank) - all.begin());
  }

  std::vector<Assignment> starts() const {
    std::vector<Assignment> starts;
    for (std::size_t d = 0; d < problem_.devices.size(); ++d)
      for (const bool leanest : {false, true}) {
        Assignment start;
        for (std::size_t p = 0; p < problem_.runs.size(); ++p)
          start.push_back(option_on(p, d, leanest));
        if (std::ranges::find(starts, start) == starts.end()) starts.push_back(std::move(start));
      }
    return starts;
  }

  struct Judgement {
    Bytes overshoot = 0;
    double seconds = 0;  // or, where that is no better than what was known, at least so many
  };

  static bool is_better(const Judgement& plan, const Judgement& than) {
    if (plan.overshoot != than.overshoot) return plan.overshoot < than.overshoot;
    return plan.seconds < than.seconds * (1 - 1e-9);
  }

  // As far as it matters to whoever knows of `rival`.
  Judgement judge(const Assignment& assignment, const Judgement& rival) {
    const auto [found, is_new] = judged_.try_emplace(assignment);
    if (!is_new) return found->second;
    const double cutoff =
        rival.overshoot == 0 ? rival.seconds : std::numeric_limits<double>::infinity();
    const ResidencyPlan plan = plan_residency(problem_, assignment, kQuickEffort, cutoff);
    found->second = {plan.overshoot, plan.seconds};
    if (is_better(found->second, best_)) {
      best_ = found->second;
      best_assignment_ = assignment;
    }
    return found->second;
  }

  void descend(Assignment at) {
    Judgement reached = judge(at, {std::numeric_limits<Bytes>::max(), 0});
    for (bool moved = true; moved;) {
      moved = false;
      for (const Assignment& next : neighbours(at)) {
        const Judgement judged = judge(next, reached);
        if (!is_better(judged, reached)) continue;
        reached = judged;
        at = next;
        moved = true;
      }
    }
  }

  std::vector<Assignment> neighbours(const Assignment& at) const {
    std::vector<Assignment> all;
    for (std::size_t p = 0; p < at.size(); ++p)
      for (std::size_t o = 0; o < options(p); ++o)
        if (o != at[p]) {
          all.push_back(at);
          all.back()[p] = o;
        }
    for (std::size_t d = 0; d < problem_.devices.size(); ++d)
      for (const bool leanest : {false, true}) {
        add_stretches(at, d, leanest, all);
        add_sharers(at, d, leanest, all);
      }
    return all;
  }

  // Neighbouring runs together to one device: a single one would pay for copies both ways.
  void add_stretches(const Assignment& at, std::size_t device, bool leanest,
                     std::vector<Assignment>& all) const {
    for (std::size_t begin = 0; begin + 1 < at.size(); ++begin) {
      Assignment next = at;
      next[begin] = option_on(begin, device, leanest);
      for (std::size_t end = begin + 1; end < at.size(); ++end) {
        next[end] = option_on(end, device, leanest);
        if (next != at) all.push_back(next);
      }
    }
  }

  // All runs that share weights.
  void add_sharers(const Assignment& at, std::size_t device, bool leanest,
                   std::vector<Assignment>& all) const {
    for (std::size_t c = 0; c < problem_.components.size(); ++c) {
      Assignment next = at;
      for (std::size_t p = 0; p < at.size(); ++p)
        if (std::ranges::find(problem_.runs[p].components, c) != problem_.runs[p].components.end())
          next[p] = option_on(p, device, leanest);
      if (next != at) all.push_back(std::move(next));
    }
  }

  // Branch and bound over positions in running order, the fastest options first.
  void branch() {
    rest_.assign(problem_.runs.size() + 1, 0);
    for (std::size_t p = problem_.runs.size(); p-- > 0;) {
      const auto& all = problem_.runs[p].options;
      const double least = std::ranges::min(all, {}, &PlacementOption::seconds).seconds;
      rest_[p] = rest_[p + 1] + least * times_[p];
    }
    Assignment partial(problem_.runs.size(), 0);
    branch_at(0, 0, partial);
  }

  void branch_at(std::size_t position, double seconds, Assignment& partial) {
    if (best_.overshoot == 0 && seconds + rest_[position] >= best_.seconds) return;
    if (branches_ == kMostBranches || leaves_ == kMostLeaves) return;
    ++branches_;
    if (position == problem_.runs.size()) {
      ++leaves_;
      judge(partial, best_);
      return;
    }
    const auto& all = problem_.runs[position].options;
    std::vector<std::size_t> order(all.size());
    for (std::size_t o = 0; o < order.size(); ++o) order[o] = o;
    std::ranges::stable_sort(order, {}, [&](std::size_t o) { return all[o].seconds; });
    for (const std::size_t option : order) {
      if (!could_fit(position, all[option])) continue;
      partial[position] = option;
      const double own = all[option].seconds * times_[position];
      branch_at(position + 1, seconds + own + least_load(position, all[option].device, partial),
                partial);
    }
  }

  // Even with nothing else on the device.
  bool could_fit(std::size_t position, const PlacementOption& option) const {
    Bytes least = option.bytes();
    for (const std::size_t c : problem_.runs[position].components) {
      const PlacementComponent& component = problem_.components[c];
      least += problem_.streams && !component.blocks.empty()
                   ? component.without_prefetch.back().held
                   : component.bytes;
    }
    return least <= problem_.devices[option.device].capacity;
  }

  // What must be loaded here because no earlier run on this device had it.
  double least_load(std::size_t position, std::size_t device, const Assignment& partial) const {
    double seconds = 0;
    for (const std::size_t c : problem_.runs[position].components) {
      bool had = std::ranges::any_of(problem_.residents, [&](const PlacementResident& resident) {
        return resident.component == c && resident.device == device;
      });
      for (std::size_t p = 0; p < position && !had; ++p) {
        const auto& uses = problem_.runs[p].components;
        had = device_at(problem_, partial, p) == device && std::ranges::find(uses, c) != uses.end();
      }
      if (had) continue;
      // What streams or comes from a copy in host memory passes at least once, too.
      const PlacementComponent& component = problem_.components[c];
      const double file = file_seconds(problem_.devices[device], component, component.bytes);
      seconds +=
          std::min(file, static_cast<double>(component.bytes) * problem_.devices[device].from_host);
    }
    return device == problem_.host() || !problem_.devices[device].copies_beside ? seconds : 0;
  }

  const PlacementProblem& problem_;
  std::vector<double> times_;  // by position: runs of it
  std::vector<double> rest_;   // by position: the least that it and all later runs compute
  std::map<Assignment, Judgement> judged_;
  std::size_t branches_ = 0, leaves_ = 0;
  Judgement best_;
  Assignment best_assignment_;
};

}  // namespace

Placement search_placement(const PlacementProblem& problem) {
  return PlacementSearch(problem).search();
}

}  // namespace emulsion

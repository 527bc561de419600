#include "plan/residency.h"

#include "check.h"

#include <functional>
#include <limits>

#include "fakes/random_placements.h"

using namespace emulsion;

namespace {

bool fits(const PlacementProblem& problem, const Assignment& assignment,
          const std::vector<Residency>& weights) {
  const auto usage = usage_of(problem, assignment, weights);
  for (std::size_t d = 0; d < usage.size(); ++d)
    for (const Bytes bytes : usage[d])
      if (bytes > problem.devices[d].capacity) return false;
  return true;
}

// Tries every combination of everything that can be decided about the weights.
class Exhaustive {
 public:
  Exhaustive(const PlacementProblem& problem, const Assignment& assignment)
      : problem_(problem), assignment_(assignment) {
    PlacementProblem ample = problem;
    for (PlacementDevice& device : ample.devices) device.capacity = 1LL << 50;
    weights_ = plan_residency(ample, assignment, 1).weights;
  }

  // Infinite where nothing fits.
  double least_seconds() {
    decide(0);
    return least_;
  }

 private:
  void decide(std::size_t w) {
    if (w == weights_.size()) {
      if (fits(problem_, assignment_, weights_))
        least_ = std::min(least_, seconds_of(problem_, assignment_, weights_));
      return;
    }
    const PlacementComponent& component = problem_.components[weights_[w].component];
    for (const auto* levels : {&component.with_prefetch, &component.without_prefetch})
      for (const StreamLevel& level : *levels) {
        weights_[w].level = &level;
        weights_[w].held = level.held;
        decide_host(w);
      }
  }

  void decide_host(std::size_t w) {
    weights_[w].via_host = false;
    decide_station(w, 0);
    for (const Residency& other : weights_)
      if (other.component == weights_[w].component && other.device == problem_.host()) return;
    weights_[w].via_host = true;
    decide_station(w, 0);
    weights_[w].via_host = false;
  }

  void decide_station(std::size_t w, std::size_t s) {
    auto& stations = weights_[w].stations;
    if (s == stations.size()) return decide(w + 1);
    Residency::Station& station = stations[s];
    const bool after_unpinned = s > 0 && stations[s - 1].loop != kNone && !stations[s - 1].pinned;
    for (const bool pinned : {true, false}) {
      if (!pinned && station.loop == kNone) continue;
      station.pinned = pinned;
      for (const bool kept : {true, false}) {
        if (kept && (s == 0 || after_unpinned || !pinned)) continue;
        station.kept_before = kept;
        decide_stays(w, s, 0);
      }
    }
    station.pinned = true;
  }

  void decide_stays(std::size_t w, std::size_t s, std::size_t gap) {
    Residency::Station& station = weights_[w].stations[s];
    if (station.pinned || gap == station.stays.size()) return decide_station(w, s + 1);
    for (const bool stays : {true, false}) {
      station.stays[gap] = stays;
      decide_stays(w, s, gap + 1);
    }
  }

  const PlacementProblem& problem_;
  const Assignment& assignment_;
  std::vector<Residency> weights_;
  double least_ = std::numeric_limits<double>::infinity();
};

// Two components of 10 and 20 MiB, used in turn on one device beside the host.
PlacementProblem turns(Bytes capacity) {
  PlacementProblem problem;
  problem.devices = {{.capacity = capacity,
                      .mappable_seconds = 1e-9,
                      .converted_seconds = 1e-9,
                      .from_host = 1e-10,
                      .to_host = 1e-10},
                     {.capacity = 100 * kMiB}};
  for (const Bytes bytes : {10 * kMiB, 20 * kMiB}) {
    PlacementComponent component;
    component.bytes = bytes;
    component.with_prefetch = component.without_prefetch = stream_levels(bytes, {}, true);
    problem.components.push_back(component);
  }
  for (const std::size_t component : {0, 1, 0}) {
    PlacementRun run;
    run.options.push_back({.device = 0, .workspace = kMiB, .seconds = 1});
    run.components.push_back(component);
    problem.runs.push_back(run);
  }
  return problem;
}

}  // namespace

TEST_CASE("weights stay until their next use where there is room") {
  const ResidencyPlan plan = plan_residency(turns(31 * kMiB), {0, 0, 0}, 100);
  CHECK(plan.overshoot == 0);
  CHECK(plan.weights[0].stations[1].kept_before);
}

TEST_CASE("weights leave where there is no room for them and others") {
  const ResidencyPlan plan = plan_residency(turns(30 * kMiB), {0, 0, 0}, 100);
  CHECK(plan.overshoot == 0);
  CHECK_FALSE(plan.weights[0].stations[1].kept_before);
  CHECK(plan.weights[0].via_host);  // faster than the file, the second time
}

TEST_CASE("a copy in host memory is not made where the host has no room for it") {
  PlacementProblem problem = turns(30 * kMiB);
  problem.devices.back().capacity = 9 * kMiB;
  const ResidencyPlan plan = plan_residency(problem, {0, 0, 0}, 100);
  CHECK(plan.overshoot == 0);
  CHECK_FALSE(plan.weights[0].via_host);
}

TEST_CASE("a memo is there for its whole loop, and for its run alone without one") {
  PlacementProblem problem = turns(100 * kMiB);
  problem.runs[1].options[0].memo = 7 * kMiB;
  CHECK(usage_of(problem, {0, 0, 0}, {})[0] == std::vector<Bytes>{kMiB, 8 * kMiB, kMiB});
  problem.loops.push_back({0, 2, 5});
  problem.runs[0].loop = problem.runs[1].loop = 0;
  CHECK(usage_of(problem, {0, 0, 0}, {})[0] == std::vector<Bytes>{8 * kMiB, 8 * kMiB, kMiB});
}

TEST_CASE("what lacks memory is told with the position and the bytes") {
  const ResidencyPlan plan = plan_residency(turns(18 * kMiB), {0, 0, 0}, 100);
  CHECK(plan.overshoot == 3 * kMiB);
  CHECK(plan.worst == 1);
}

TEST_CASE("blocks are streamed just as far as the budget asks for") {
  PlacementProblem problem = turns(18 * kMiB);
  problem.runs = {problem.runs[1]};
  PlacementComponent& component = problem.components[1];
  component.blocks.assign(19, kMiB);
  component.with_prefetch = stream_levels(20 * kMiB, component.blocks, true);
  component.without_prefetch = stream_levels(20 * kMiB, component.blocks, false);
  const ResidencyPlan plan = plan_residency(problem, {0}, 100);
  CHECK(plan.overshoot == 0);
  REQUIRE(plan.weights.size() == 1);
  CHECK(plan.weights[0].held == 17 * kMiB);
}

TEST_CASE("blocks that come while the device computes cost no time") {
  PlacementProblem problem = turns(18 * kMiB);
  problem.runs = {problem.runs[1]};
  PlacementComponent& component = problem.components[1];
  component.blocks.assign(19, kMiB);
  component.with_prefetch = stream_levels(20 * kMiB, component.blocks, true);
  component.without_prefetch = stream_levels(20 * kMiB, component.blocks, false);
  const double waiting = plan_residency(problem, {0}, 100).seconds;
  problem.devices[0].copies_beside = true;
  const ResidencyPlan beside = plan_residency(problem, {0}, 100);
  CHECK(beside.weights[0].level->prefetch);
  CHECK(beside.seconds < waiting);
  problem.devices[0].capacity = 40 * kMiB;
  problem.streams = false;
  CHECK(plan_residency(problem, {0}, 100).weights[0].level->blocks.empty());
  CHECK(beside.seconds >= 1);
}

TEST_CASE("weights that are changed on the way take host memory, and time, at each load") {
  PlacementProblem problem = turns(30 * kMiB);
  problem.devices.back().capacity = 9 * kMiB;  // too little for a copy
  const double plain = plan_residency(problem, {0, 0, 0}, 100).seconds;
  problem.components[0].changing = 5 * kMiB;
  problem.components[0].changing_seconds = 1e-8;
  const ResidencyPlan plan = plan_residency(problem, {0, 0, 0}, 100);
  CHECK(plan.overshoot == 0);
  CHECK(usage_of(problem, {0, 0, 0}, plan.weights).back() ==
        std::vector<Bytes>{5 * kMiB, 0, 5 * kMiB});
  CHECK(plan.seconds == doctest::Approx(plain + 2 * 10 * kMiB * 1e-8));
  problem.devices.back().capacity = 4 * kMiB;
  CHECK(plan_residency(problem, {0, 0, 0}, 100).overshoot == kMiB);
}

TEST_CASE("residency is as fast as the best of all combinations, and found whenever there is one") {
  fakes::RandomPlacements random(7);
  std::size_t planned = 0, impossible = 0;
  for (int round = 0; round < 300; ++round) {
    const PlacementProblem problem = random.draw(3 + random.below(4), 1, 1 + random.below(3));
    Assignment assignment;
    for (const PlacementRun& run : problem.runs)
      assignment.push_back(random.below(run.options.size()));
    const double best = Exhaustive(problem, assignment).least_seconds();
    const ResidencyPlan plan = plan_residency(problem, assignment, 2000);
    CAPTURE(round);
    CHECK((plan.overshoot == 0) == (best < std::numeric_limits<double>::infinity()));
    if (plan.overshoot > 0) {
      ++impossible;
      continue;
    }
    ++planned;
    CHECK(fits(problem, assignment, plan.weights));
    CHECK(plan.seconds == doctest::Approx(seconds_of(problem, assignment, plan.weights)));
    CHECK(plan.seconds <= best * 1.05);
  }
  CHECK(planned > 100);
  CHECK(impossible > 10);
}

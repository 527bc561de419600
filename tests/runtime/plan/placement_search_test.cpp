#include "plan/placement_search.h"

#include "check.h"

#include <limits>

#include "fakes/random_placements.h"

using namespace emulsion;

namespace {

// The best of all assignments; infinite where none fits.
double exhaustive(const PlacementProblem& problem) {
  double least = std::numeric_limits<double>::infinity();
  Assignment assignment(problem.runs.size(), 0);
  for (;;) {
    const ResidencyPlan plan = plan_residency(problem, assignment, 200);
    if (plan.overshoot == 0) least = std::min(least, plan.seconds);
    std::size_t p = 0;
    while (p < assignment.size() && ++assignment[p] == problem.runs[p].options.size())
      assignment[p++] = 0;
    if (p == assignment.size()) return least;
  }
}

std::size_t assignments(const PlacementProblem& problem) {
  std::size_t count = 1;
  for (const PlacementRun& run : problem.runs) count *= run.options.size();
  return count;
}

void compare(const PlacementProblem& problem) {
  const double best = exhaustive(problem);
  const Placement found = search_placement(problem);
  CHECK((found.residency.overshoot == 0) == (best < std::numeric_limits<double>::infinity()));
  if (found.residency.overshoot == 0) CHECK(found.residency.seconds <= best * 1.05);
}

}  // namespace

TEST_CASE("random graphs with variants are placed within 5 % of the best placement") {
  fakes::RandomPlacements random(11);
  for (int round = 0; round < 60; ++round) {
    const PlacementProblem problem = random.draw(3 + random.below(4), 2, 1 + random.below(3));
    if (assignments(problem) > 20000) continue;
    CAPTURE(round);
    compare(problem);
  }
}

TEST_CASE("random graphs of a dozen nodes are placed within 5 % of the best placement") {
  fakes::RandomPlacements random(13);
  for (int round = 0; round < 3; ++round) {
    PlacementProblem problem = random.draw(12, 1, 4);
    while (assignments(problem) > 40000) {  // nodes that can run on one device only
      PlacementRun& run = problem.runs[random.below(12)];
      run.options = {run.options[random.below(run.options.size())]};
    }
    CAPTURE(round);
    compare(problem);
  }
}

TEST_CASE("a run alone on a slow device is moved together with its neighbours") {
  PlacementProblem problem;
  problem.devices = {{.capacity = kGiB,
                      .mappable_seconds = 1e-10,
                      .converted_seconds = 1e-10,
                      .from_host = 1e-7,
                      .to_host = 1e-7},
                     {.capacity = kGiB}};
  for (std::size_t p = 0; p < 4; ++p) {
    PlacementRun run;
    run.options = {{.device = 0, .seconds = 0.1}, {.device = 1, .seconds = 0.3}};
    problem.runs.push_back(run);
    PlacementValue value;
    value.bytes = 3 * kMiB;
    value.home = value.begin = p;
    value.end = p + 1;
    if (p + 1 < 4) value.reads.push_back({p + 1, p + 1, p + 2, p + 1, 1});
    problem.values.push_back(value);
  }
  problem.values.back().reads.push_back({kNone, 3, 4, 4, 1});
  const Placement placement = search_placement(problem);
  CHECK(placement.assignment == Assignment{0, 0, 0, 0});
}

#pragma once

#include <algorithm>
#include <cstddef>
#include <random>
#include <vector>

#include "plan/placement.h"

// Questions for the planner that no graph asks, with sizes and speeds drawn at random.
namespace emulsion::fakes {

class RandomPlacements {
 public:
  explicit RandomPlacements(std::uint32_t seed) : random_(seed) {}

  // A chain of runs with side branches; two accelerators and the host; a loop over some of them.
  PlacementProblem draw(std::size_t runs, std::size_t variants, std::size_t components) {
    PlacementProblem problem;
    add_devices(problem);
    for (std::size_t c = 0; c < components; ++c) problem.components.push_back(component());
    for (std::size_t p = 0; p < runs; ++p) problem.runs.push_back(run(problem, variants));
    if (runs >= 4 && chance(0.7)) add_loop(problem);
    for (std::size_t p = 0; p < runs; ++p) add_value(problem, p);
    return problem;
  }

  std::size_t below(std::size_t count) { return random_() % count; }

 private:
  bool chance(double share) { return static_cast<double>(random_() % 1000) < share * 1000; }
  Bytes mib(std::size_t least, std::size_t most) {
    return static_cast<Bytes>(least + below(most - least + 1)) * kMiB;
  }
  double seconds(double least, double most) {
    return least + (most - least) * static_cast<double>(below(1000)) / 1000;
  }

  void add_devices(PlacementProblem& problem) {
    for (int d = 0; d < 3; ++d)
      problem.devices.push_back({.capacity = mib(20, 200),
                                 .mappable_seconds = seconds(1e-10, 1e-9),
                                 .converted_seconds = seconds(1e-9, 3e-9),
                                 .from_host = seconds(5e-11, 3e-10),
                                 .to_host = seconds(5e-11, 3e-10),
                                 .latency = 1e-5,
                                 .copies_beside = chance(0.5)});
    problem.devices.back().latency = 0;
    problem.devices.back().copies_beside = false;
  }

  PlacementComponent component() {
    PlacementComponent made;
    made.bytes = mib(4, 80);
    made.mapped = chance(0.5) ? 1 : 0;
    if (chance(0.5)) {
      const std::size_t blocks = 3 + below(5);
      made.blocks.assign(blocks, made.bytes / static_cast<Bytes>(blocks + 1));
    }
    made.with_prefetch = stream_levels(made.bytes, made.blocks, true);
    made.without_prefetch = stream_levels(made.bytes, made.blocks, false);
    return made;
  }

  PlacementRun run(const PlacementProblem& problem, std::size_t variants) {
    PlacementRun made;
    if (chance(0.7)) made.components.push_back(below(problem.components.size()));
    for (std::size_t d = 0; d < problem.devices.size(); ++d) {
      if (d != problem.host() && chance(0.1)) continue;
      Bytes workspace = mib(1, 40);
      Bytes memo = chance(0.3) ? mib(1, 20) : 0;
      double time = seconds(0.001, 0.05) * (d == problem.host() ? 4 : 1);
      for (std::size_t v = 0; v < variants; ++v) {
        made.options.push_back({d, v, workspace, time, 1, memo});
        workspace /= 3;
        memo = 0;
        time *= 1.4;
      }
    }
    return made;
  }

  void add_loop(PlacementProblem& problem) {
    const std::size_t begin = 1 + below(problem.runs.size() - 2);
    const std::size_t end = begin + 1 + below(problem.runs.size() - begin - 1);
    problem.loops.push_back({begin, end, static_cast<double>(2 + below(20))});
    for (std::size_t p = begin; p < end; ++p) problem.runs[p].loop = 0;
  }

  // What run p makes is read by one or two later runs.
  void add_value(PlacementProblem& problem, std::size_t p) {
    PlacementValue value;
    value.bytes = mib(0, 4);
    value.home = value.begin = p;
    value.end = p + 1;
    for (std::size_t q = p + 1; q < problem.runs.size(); q += 1 + below(3)) {
      const std::size_t loop = problem.runs[q].loop;
      const bool outer = loop != kNone && problem.runs[p].loop != loop;
      const PlacementLoop around = outer ? problem.loops[loop] : PlacementLoop{q, q + 1, 1};
      const double times = loop == kNone || outer ? 1 : problem.loops[loop].iterations;
      value.reads.push_back({q, around.begin, around.end, around.begin, times});
      if (value.reads.size() == 2) break;
    }
    problem.values.push_back(value);
  }

  std::mt19937 random_;
};

}  // namespace emulsion::fakes

#include "plan/execution_plan.h"

#include <algorithm>
#include <cmath>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "plan/placement_problem.h"
#include "plan/placement_search.h"
#include "plan/plan_writer.h"
#include "plan/timeline.h"

namespace emulsion {
namespace {

// More than any device has, and yet far from what an addition would overflow.
constexpr Bytes kAmple = 1LL << 60;

struct SmallestBudget {
  std::size_t device = 0;
  Bytes bytes = 0;  // whole MiB; 0: no budget of this device alone would do
  double seconds = 0;
};

Placement placed_within(PlacementProblem& problem, std::size_t device, Bytes capacity) {
  problem.devices[device].capacity = capacity;
  return search_placement(problem);
}

// The smallest budget of one device that would do, if all others stay as they are.
SmallestBudget smallest_budget(PlacementProblem problem, std::size_t device) {
  const Placement ample = placed_within(problem, device, kAmple);
  SmallestBudget smallest{device, 0, ample.residency.seconds};
  if (ample.residency.overshoot > 0) return smallest;
  const auto usage = usage_of(problem, ample.assignment, ample.residency.weights);
  Bytes too_small = 0, enough = std::ranges::max(usage[device]) / kMiB + 1;  // in MiB
  while (enough - too_small > 1) {
    const Bytes middle = (too_small + enough) / 2;
    const Placement placement = placed_within(problem, device, middle * kMiB);
    if (placement.residency.overshoot > 0) {
      too_small = middle;
    } else {
      enough = middle;
      smallest.seconds = placement.residency.seconds;
    }
  }
  smallest.bytes = enough * kMiB;
  return smallest;
}

std::string whole_seconds(double seconds) {
  return seconds < 10 ? str(std::round(seconds * 10) / 10, " s")
                      : str(static_cast<std::int64_t>(std::round(seconds)), " s");
}

[[noreturn]] void refuse(const Graph& graph, const PlanRequest& request, const Timeline& timeline,
                         const PlacementProblem& problem, const Placement& placement) {
  const std::size_t worst = placement.residency.worst;
  const std::size_t at = device_at(problem, placement.assignment, worst);
  const DeviceBudget& device = request.devices[at];
  std::string way_out;
  for (std::size_t d = 0; d < problem.devices.size(); ++d) {
    const SmallestBudget smallest = smallest_budget(problem, d);
    if (smallest.bytes == 0) continue;
    way_out += str(way_out.empty() ? "the smallest budget for this graph is " : " or ", "--device ",
                   request.devices[d].name, "=", smallest.bytes / kMiB, "MiB (",
                   whole_seconds(smallest.seconds), " predicted)");
  }
  if (way_out.empty()) way_out = "no budget of a single device would do";
  const bool is_auto = request.profile == nullptr || request.profile->name == "auto";
  throw PlanError(str(graph.node(timeline.runs[worst]).place, ": does not fit on ", device.name,
                      ": needs ", format_bytes(device.capacity + placement.residency.overshoot),
                      ", the budget is ", format_bytes(device.capacity), "; ", way_out,
                      is_auto ? ", or take" : ", or take --profile auto,",
                      " a smaller width, height or batch"));
}

}  // namespace

ExecutionPlan make_plan(const Graph& graph, const Forecasts& forecasts,
                        const PlanRequest& request) {
  const Timeline timeline = make_timeline(graph, request.start);
  const PlacementProblem problem = make_problem(graph, forecasts, request, timeline);
  const Placement placement = search_placement(problem);
  if (placement.residency.overshoot > 0) refuse(graph, request, timeline, problem, placement);
  return write_plan({graph, forecasts, request, timeline, problem, placement});
}

}  // namespace emulsion

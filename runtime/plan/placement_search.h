#pragma once

#include "plan/residency.h"

namespace emulsion {

struct Placement {
  Assignment assignment;
  ResidencyPlan residency;
};

// The assignment and residency with the least predicted time of those that fit, as far as a bounded
// search finds it: descents from several starts, by changing single runs, stretches of runs and all
// runs that share weights, then branch and bound while its effort lasts.  Where nothing fits, the
// one that lacks the least.  Deterministic.  [any thread]
Placement search_placement(const PlacementProblem& problem);

}  // namespace emulsion

#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "emulsion/memory.h"
#include "graph/graph.h"

namespace emulsion {

// What one unit of work needs on a device: a node run, or a whole loop whose weights stay pinned.
struct ResidencyNeed {
  std::set<ComponentId> weights;
  Bytes transient = 0;  // values and workspace: the most at any moment of the unit
};

// What happens around a unit, in this order: evict, load, (the unit), release.
struct ResidencyChange {
  std::vector<ComponentId> evict;  // to make room; needed again later
  std::vector<ComponentId> load;
  std::vector<ComponentId> release;  // never needed again
  Bytes resident = 0;                // bytes of weights while the unit runs
};

// Decides for units in running order what is resident when: loaded just before first use, let go
// after the last; where room is short, what is used furthest in the future goes first, since the
// order is known (Belady 1966).  Each unit must fit by itself.
std::vector<ResidencyChange> plan_residency(const std::vector<ResidencyNeed>& units,
                                            const std::vector<Bytes>& component_bytes,
                                            Bytes capacity);

// Of the weights that the runs of a loop body need, those that stay for the whole loop: the
// largest first, as long as every run of the body still fits beside them.
std::set<ComponentId> pinned_in_loop(const std::vector<ResidencyNeed>& body,
                                     const std::vector<Bytes>& component_bytes, Bytes capacity);

// Bytes of weights and transients of one unit.
Bytes bytes_of(const ResidencyNeed& need, const std::vector<Bytes>& component_bytes);

}  // namespace emulsion

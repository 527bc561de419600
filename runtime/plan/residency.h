#pragma once

#include <cstddef>
#include <limits>
#include <vector>

#include "plan/placement.h"

namespace emulsion {

// What becomes of one component's weights on one device.  Its uses are grouped into stations: each
// run outside of loops, and each loop.
struct Residency {
  struct Station {
    std::size_t begin = 0, end = 0;  // positions; a loop's station is the whole body
    std::vector<std::size_t> uses;   // positions
    std::size_t loop = kNone;
    bool pinned = true;  // in a loop: there all the time; else they come and go in each iteration
    // Whether they stay between a use and the next one of an iteration, where they are not pinned.
    std::vector<bool> stays = {};
    bool kept_before = false;  // since the station before, or since the start, without a load
  };
  std::size_t component = 0, device = 0;
  const StreamLevel* level = nullptr;  // of the problem's component, or of its resident
  Bytes held = 0;                      // by the level, and what streaming needs besides
  bool via_host = false;  // a copy in host memory serves all loads and blocks but the first
  std::vector<Station> stations;
  const StreamLevel* resident = nullptr;  // as they are there at the start
  bool kept_after = false;                // until the end of the run

  // The last position, half open, at which the copy in host memory is needed.
  std::size_t host_end() const;
  // True where the copy is needed while the station's nodes run, and not for the load alone.
  bool reads_during(const Station& station) const;
};

struct ResidencyPlan {
  std::vector<Residency> weights;
  double seconds = 0;         // of everything: runs, copies, loads
  Bytes overshoot = 0;        // the most that is missing on any device; 0: it fits
  std::size_t worst = kNone;  // where that is
};

// Decides for an assignment what is resident when: of all weights that could stay until their next
// use, those leave, or stream, that cost the least time for the room that they make.  Bounded
// search: `effort` states are looked at, at most.  A plan that would take `cutoff` seconds or more
// need not be found; what is given instead takes that long at least.
ResidencyPlan plan_residency(const PlacementProblem& problem, const Assignment& assignment,
                             std::size_t effort,
                             double cutoff = std::numeric_limits<double>::infinity());

// Bytes by device, at each position.
std::vector<std::vector<Bytes>> usage_of(const PlacementProblem& problem,
                                         const Assignment& assignment,
                                         const std::vector<Residency>& weights);

// Seconds of everything: runs, copies of values, loads, waits for blocks.
double seconds_of(const PlacementProblem& problem, const Assignment& assignment,
                  const std::vector<Residency>& weights);

// Seconds of one run with the wait for streamed blocks.
double run_seconds(const PlacementProblem& problem, const PlacementOption& option,
                   const std::vector<const Residency*>& weights);

// Seconds to bring the weights to the device once; without those of the copy in host memory.
double load_seconds(const PlacementProblem& problem, const Residency& weights);

}  // namespace emulsion

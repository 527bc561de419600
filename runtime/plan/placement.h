#pragma once

#include <cstddef>
#include <vector>

#include "emulsion/memory.h"
#include "plan/profile.h"
#include "plan/stream_level.h"

namespace emulsion {

// The question that the planner answers, without graphs and names: for each node run one of its
// options, for all weights where they are when.  Runs are known by their positions in running
// order, a loop's body once; devices, components and loops by their indices.  The last device is
// the host.  Ranges of positions are half open.

inline constexpr std::size_t kNone = static_cast<std::size_t>(-1);

// One way to do a run.
struct PlacementOption {
  std::size_t device = 0;
  std::size_t variant = 0;
  Bytes workspace = 0;
  double seconds = 0;
  double passes = 1;  // through the blocks of the weights
  Bytes memo = 0;     // there for the whole loop; without one, during the run

  Bytes bytes() const { return workspace + memo; }
};

struct PlacementRun {
  std::vector<PlacementOption> options;  // at least one
  std::vector<std::size_t> components;   // whose weights it needs
  std::size_t loop = kNone;
};

struct PlacementLoop {
  std::size_t begin = 0, end = 0;  // positions of its body
  double iterations = 1;
};

// A value is on its home while [begin, end), and there as long as others copy it from there.
struct PlacementValue {
  // Where something reads it: on the device of the run at `position`; kNone: on the host.
  struct Read {
    std::size_t position = kNone;
    std::size_t begin = 0, end = 0;  // it must be there
    std::size_t copied_at = 0;       // if it was made elsewhere, it stays there until then
    double times = 1;                // that it is copied then
  };
  Bytes bytes = 0;
  std::size_t home = kNone;  // the position whose device makes it; kNone: the host
  std::size_t begin = 0, end = 0;
  std::vector<Read> reads;
};

struct PlacementComponent {
  Bytes bytes = 0;
  std::vector<Bytes> blocks;  // that can come one by one, in order of use
  std::vector<StreamLevel> with_prefetch = {}, without_prefetch = {};  // from stream_levels()
  double mapped = 0;  // share of the bytes that costs the host no conversion
  Bytes staging = 0;  // that the host needs besides, while it reads what is not mapped
  // Of tensors that are changed while they are read: seconds for each byte of the component, and
  // what the host needs besides, wherever they go.
  double changing_seconds = 0;
  Bytes changing = 0;
};

struct PlacementDevice {
  Bytes capacity = 0;
  // Seconds for each byte of weights from the files, without and with conversion, of anything from
  // the host, and to it; and of each copy, however small.
  double mappable_seconds = 0, converted_seconds = 0, from_host = 0, to_host = 0, latency = 0;
  bool copies_beside = false;  // while it computes
};

// Weights that are there before the first run.
struct PlacementResident {
  std::size_t component = 0, device = 0;
  StreamLevel level;
};

struct PlacementProblem {
  std::vector<PlacementDevice> devices;
  std::vector<PlacementRun> runs;
  std::vector<PlacementLoop> loops;
  std::vector<PlacementValue> values;
  std::vector<PlacementComponent> components;
  std::vector<PlacementResident> residents;
  AfterUse after_use = AfterUse::Planned;
  bool streams = true;
  bool repeats = false;

  std::size_t host() const { return devices.size() - 1; }
};

// The position in each run's options, by position.
using Assignment = std::vector<std::size_t>;

// Where a value is beside its home.
struct Replica {
  std::size_t value = 0, device = 0;
  std::size_t begin = 0, end = 0;
  bool is_home = false;
  std::size_t copied_at = 0;  // before the run at this position; past the last one: at the end
  double times = 1;
};

std::size_t device_at(const PlacementProblem& problem, const Assignment& assignment,
                      std::size_t position);

// All replicas of all values, in the order of values, each home first.
std::vector<Replica> replicas_of(const PlacementProblem& problem, const Assignment& assignment);

// Seconds for each byte of a component's weights on their way from the files to a device.
double file_rate(const PlacementDevice& device, const PlacementComponent& component);
// Seconds to bring so many bytes of them there.
double file_seconds(const PlacementDevice& device, const PlacementComponent& component,
                    Bytes bytes);
// Seconds of one copy between two devices.
double copy_seconds(const PlacementProblem& problem, std::size_t from, std::size_t to, Bytes bytes);

}  // namespace emulsion

#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "graph/graph.h"
#include "plan/device.h"
#include "plan/forecasts.h"
#include "plan/profile.h"
#include "plan/speed.h"

namespace emulsion {

// Brings a component's weights to a device.  Seconds are what it is predicted to take.
struct LoadWeights {
  ComponentId component{};
  DeviceId device{};
  std::optional<DeviceId> from;  // where they are already; absent: from the files
  Bytes held = 0;                // on the device from now on: what lasts, and the window of blocks
  Bytes passed = 0;              // to the device now
  std::vector<std::size_t> streamed;  // blocks that come and go while the weights are used
  bool prefetch = true;               // two blocks are there at a time, else one
  double seconds = 0;
  std::size_t changed = 0;  // tensors that are blended or adapted on the way
};

struct EvictWeights {
  ComponentId component;
  DeviceId device;
};

// A value may be on several devices at once.
struct CopyValue {
  ValueId value;
  DeviceId from, to;
  Bytes bytes = 0;
  double seconds = 0;
};

struct FreeValue {
  ValueId value;
  DeviceId device;
};

// Gives values second names, all at once: how a loop's carries get in, around and out.
struct BindValues {
  struct Pair {
    ValueId to;
    Operand from;
    DeviceId device;  // where both are
  };
  std::vector<Pair> pairs;
};

// Gives what the device's allocator keeps of freed memory back to the system.
struct TrimMemory {
  DeviceId device;
};

struct RunNode {
  NodeId node{};
  DeviceId device{};
  std::string variant;
  MemoryEstimate estimate;  // of the node alone
  Bytes peak = 0;           // of all that is on the device while it runs
  Bytes streamed = 0;       // weights that pass to the device while it runs
  double seconds = 0;       // of one run, with the wait for what is streamed
};

struct RunLoop;
using Step = std::variant<LoadWeights, EvictWeights, CopyValue, FreeValue, BindValues, TrimMemory,
                          RunNode, RunLoop>;

struct RunLoop {
  LoopId loop;
  std::int64_t first = 0;                  // iteration to begin with
  std::optional<std::int64_t> iterations;  // in all, where they are known before the run
  std::vector<Step> body;
};

struct DevicePlan {
  DeviceBudget budget;
  Bytes peak = 0;
};

// What the executor does, step by step; it decides nothing.  Immutable.  [any thread]
struct ExecutionPlan {
  std::vector<DevicePlan> devices;  // by DeviceId; the last is the host
  std::vector<Step> steps;
  std::vector<WeightUse> uses;  // by ComponentId: which tensors, in which blocks
  c10::ScalarType dtype = c10::ScalarType::Float;
  std::string profile;
  double seconds = 0;  // predicted, of all steps; where a count is unknown, of one iteration

  const DeviceBudget& device(DeviceId id) const {
    return devices[static_cast<std::size_t>(id)].budget;
  }
};

// What is there before the first step.
struct StartingPoint {
  struct Resident {
    ComponentId component;
    DeviceId device;
    Bytes held = 0;
    std::vector<std::size_t> streamed;
    bool prefetch = true;
  };
  std::vector<ValueId> values;      // on the host; what only made these is not run again
  std::optional<LoopId> loop;       // that was interrupted: its carries are among the values,
  std::int64_t iteration = 0;       // as they were before this iteration
  std::vector<Resident> residents;  // weights of an earlier run
};

struct PlanRequest {
  std::vector<DeviceBudget> devices;  // from parse_devices; the last is the host
  std::vector<DeviceSpeed> speeds;    // in the order of the devices
  const Profile* profile = nullptr;   // null: auto
  StartingPoint start = {};
  bool repeats = false;  // the same graph comes again: weights that may stay save its loads
};

// Chooses for every node the device and the variant, and for all weights where they are when, so
// that no device's budget is passed at any moment and the predicted time is least.  Throws
// PlanError, naming the smallest budget that would do.  Pure.  [any thread]
ExecutionPlan make_plan(const Graph& graph, const Forecasts& forecasts, const PlanRequest& request);

// The plan for people, and for programs.
std::string to_text(const ExecutionPlan& plan, const Graph& graph);
std::string to_json(const ExecutionPlan& plan, const Graph& graph);

}  // namespace emulsion

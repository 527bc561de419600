#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "graph/graph.h"
#include "plan/device.h"
#include "plan/forecasts.h"

namespace emulsion {

struct LoadWeights {
  ComponentId component;
  DeviceId device;
  Bytes bytes = 0;
};

struct EvictWeights {
  ComponentId component;
  DeviceId device;
};

struct MoveValue {
  ValueId value;
  DeviceId from, to;
  Bytes bytes = 0;
};

struct ReleaseValue {
  ValueId value;
};

// Gives values second names, all at once: how a loop's carries get in, around and out.
struct BindValues {
  struct Pair {
    ValueId to;
    Operand from;
  };
  std::vector<Pair> pairs;
};

struct RunNode {
  NodeId node;
  DeviceId device;
  std::string variant;
  MemoryEstimate estimate;  // of the node alone
  Bytes peak = 0;           // of all that is on the device while it runs
};

struct RunLoop;
using Step =
    std::variant<LoadWeights, EvictWeights, MoveValue, ReleaseValue, BindValues, RunNode, RunLoop>;

struct RunLoop {
  LoopId loop;
  std::optional<std::int64_t> iterations;  // where they are known before the run
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
  c10::ScalarType dtype = c10::ScalarType::Float;

  const DeviceBudget& device(DeviceId id) const {
    return devices[static_cast<std::size_t>(id)].budget;
  }
};

// Plans for one computing device and the host, which may be the same: `devices` from
// parse_devices.  Throws PlanError, naming the smallest budget that would do.  Pure.  [any thread]
ExecutionPlan make_plan(const Graph& graph, const Forecasts& forecasts,
                        const std::vector<DeviceBudget>& devices);

// The plan for people, a step a line, and for programs.
std::string to_text(const ExecutionPlan& plan, const Graph& graph);
std::string to_json(const ExecutionPlan& plan, const Graph& graph);

}  // namespace emulsion

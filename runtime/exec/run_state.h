#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "emulsion/run_context.h"
#include "exec/run_recorder.h"
#include "exec/value_table.h"
#include "memory/memory_meter.h"
#include "plan/execution_plan.h"
#include "weights/weight_store.h"

namespace emulsion {

// By DeviceId.  They outlive all that they count.
using Meters = std::vector<std::shared_ptr<MemoryMeter>>;

// A meter for each device, with its budget as the limit.
Meters meters_for(const std::vector<DeviceBudget>& devices);

// Weights on a device, and how they are held there.
struct LoadedWeights {
  std::shared_ptr<const WeightSet> weights;  // null: not there
  Bytes held = 0;
  std::vector<std::size_t> streamed;
  bool prefetch = true;
};

// How far a loop is.
struct LoopState {
  std::int64_t iteration = 0;  // that runs, or comes next
  std::int64_t count = 0;      // of all iterations, once it is known
  bool finished = false;
  // The carries before this iteration, in the order of the loop's; empty between iterations.
  std::vector<ValueTable::Replicas> carries;
};

// Results that are asked for beyond the run: what is wanted is put aside on the host when the plan
// lets go of it, or at the end, as long as there is room.
struct KeptResults {
  std::vector<bool> wanted;  // by ValueId; empty: none
  Bytes room = 0;
  std::map<ValueId, Value> values;
};

// All that a run holds, and how far it is.  It survives an execution that ends early, so that the
// rest can be planned anew.  [run thread]
struct RunState {
  RunState(const Graph& graph, const std::vector<DeviceBudget>& devices, Meters meters);

  DeviceId host() const { return values.host(); }
  MemoryMeter& meter(DeviceId device) const { return *meters[static_cast<std::size_t>(device)]; }
  LoadedWeights& loaded(ComponentId component, DeviceId device) {
    return weights[static_cast<std::size_t>(device)][index(component)];
  }

  Meters meters;
  ValueTable values;
  std::vector<std::vector<LoadedWeights>> weights;  // by DeviceId, by ComponentId
  std::vector<LoopState> loops;                     // by LoopId
  std::vector<Memo> memos;                          // by NodeId, while their loop runs
  std::vector<bool> nodes_done;                     // by NodeId, outside of loops
  std::int64_t finished = 0;                        // nodes outside of loops, and iterations
  DeviceId busy{};                                  // where the last step was begun
  std::string place;                                // for messages: what that step is
  KeptResults kept;
  RunRecorder recorder;
};

// Puts the value that is on the device aside, if it is wanted, not there yet, and there is room.
void put_aside(RunState& state, ValueId value, DeviceId device);
// The same with all values that the run still has.
void put_rest_aside(RunState& state);

}  // namespace emulsion

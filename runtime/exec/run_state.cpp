#include "exec/run_state.h"

#include <c10/util/Exception.h>

namespace emulsion {

Meters meters_for(const std::vector<DeviceBudget>& devices) {
  Meters meters;
  for (const DeviceBudget& device : devices) {
    meters.push_back(std::make_shared<MemoryMeter>(device.device));
    meters.back()->set_limit(device.capacity);
  }
  return meters;
}

RunState::RunState(const Graph& graph, const std::vector<DeviceBudget>& devices, Meters given)
    : meters(std::move(given)),
      values(graph, devices.size()),
      weights(devices.size(), std::vector<LoadedWeights>(graph.components.size())),
      loops(graph.loops.size()),
      memos(graph.nodes.size()),
      nodes_done(graph.nodes.size(), false),
      recorder(graph, devices, meters) {}

void put_aside(RunState& state, ValueId id, DeviceId device) {
  KeptResults& kept = state.kept;
  if (kept.wanted.empty() || !kept.wanted[index(id)] || kept.values.contains(id)) return;
  const std::optional<Value>& value = state.values.find(id, device);
  if (!value || bytes_of(*value) > kept.room) return;
  const bool is_there = device == state.host() || state.values.is_on_host(id);
  try {
    const MeterScope scope(state.meter(state.host()));
    kept.values.emplace(id, is_there ? *value : copied(*value, c10::DeviceType::CPU));
    kept.room -= bytes_of(*value);
  } catch (const c10::OutOfMemoryError&) {
    kept.room = 0;  // the run itself comes first
  }
}

void put_rest_aside(RunState& state) {
  for (std::size_t i = 0; i < state.values.size(); ++i) {
    const ValueTable::Replicas& replicas = state.values.replicas(static_cast<ValueId>(i));
    for (std::size_t device = replicas.size(); device-- > 0;)
      if (replicas[device])
        put_aside(state, static_cast<ValueId>(i), static_cast<DeviceId>(device));
  }
}

}  // namespace emulsion

#pragma once

#include <c10/core/Device.h>

#include <optional>
#include <vector>

#include "emulsion/value.h"
#include "graph/graph.h"
#include "plan/device.h"

namespace emulsion {

// The values of a run by their ids, on each device where they are.  What lives on the host is there
// whatever device is named: scalars, texts, and types whose home it is.  [run thread]
class ValueTable {
 public:
  using Replicas = std::vector<std::optional<Value>>;  // by DeviceId

  // The last of the devices is the host.
  ValueTable(const Graph& graph, std::size_t devices);

  void set(ValueId id, DeviceId device, Value value);
  void release(ValueId id, DeviceId device);
  void release(ValueId id);  // everywhere

  // Absent where it was not made yet, or has been let go.
  const std::optional<Value>& find(ValueId id, DeviceId device) const;
  const Replicas& replicas(ValueId id) const { return values_[index(id)]; }
  void restore(ValueId id, Replicas replicas) { values_[index(id)] = std::move(replicas); }
  bool contains(ValueId id) const;  // on some device
  std::size_t size() const { return values_.size(); }

  // What an operand stands for.  Throws RunError where its value is on other devices only.
  std::optional<Value> read(const Operand& operand, DeviceId device) const;

  DeviceId host() const { return host_; }
  bool is_on_host(ValueId id) const { return lives_on_host_[index(id)]; }

 private:
  std::size_t place(ValueId id, DeviceId device) const;

  const Graph& graph_;
  DeviceId host_;
  std::vector<bool> lives_on_host_;  // by ValueId
  std::vector<Replicas> values_;     // by ValueId
};

// A value with memory of its own on the device.  [run thread]
Value copied(const Value& value, c10::Device to);

}  // namespace emulsion

#include "exec/value_table.h"

#include <algorithm>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

bool lives_on_host(const PortType& type) {
  const bool is_sized = type.holding == Holding::Tensor || type.holding == Holding::Bundle;
  return type.home == Home::Host || !is_sized;
}

at::Tensor copied(const at::Tensor& tensor, c10::Device to) {
  if (!tensor.defined()) return tensor;
  return tensor.device() == to ? tensor.clone() : tensor.to(to);
}

}  // namespace

ValueTable::ValueTable(const Graph& graph, std::size_t devices)
    : graph_(graph),
      host_(static_cast<DeviceId>(devices - 1)),
      values_(graph.values.size(), Replicas(devices)) {
  for (const ValueInfo& value : graph.values) lives_on_host_.push_back(lives_on_host(value.type));
}

std::size_t ValueTable::place(ValueId id, DeviceId device) const {
  return static_cast<std::size_t>(is_on_host(id) ? host_ : device);
}

void ValueTable::set(ValueId id, DeviceId device, Value value) {
  values_[index(id)][place(id, device)] = std::move(value);
}

void ValueTable::release(ValueId id, DeviceId device) {
  values_[index(id)][place(id, device)].reset();
}

void ValueTable::release(ValueId id) {
  for (std::optional<Value>& replica : values_[index(id)]) replica.reset();
}

const std::optional<Value>& ValueTable::find(ValueId id, DeviceId device) const {
  return values_[index(id)][place(id, device)];
}

bool ValueTable::contains(ValueId id) const {
  return std::ranges::any_of(
      values_[index(id)], [](const std::optional<Value>& replica) { return replica.has_value(); });
}

std::optional<Value> ValueTable::read(const Operand& operand, DeviceId device) const {
  const auto* id = std::get_if<ValueId>(&operand);
  if (id == nullptr)
    return std::visit([](const auto& constant) { return Value(constant); },
                      std::get<Param>(operand));
  const std::optional<Value>& found = find(*id, device);
  if (!found && contains(*id))
    throw RunError(str("value '", graph_.value(*id).name,
                       "' is on another device; the plan lacks a copy of it"));
  return found;
}

Value copied(const Value& value, c10::Device to) {
  if (const auto* tensor = std::get_if<at::Tensor>(&value)) return copied(*tensor, to);
  const auto* bundle = std::get_if<Bundle>(&value);
  if (bundle == nullptr) return value;
  Bundle copy;
  for (const auto& [name, tensor] : *bundle) copy.emplace(name, copied(tensor, to));
  return copy;
}

}  // namespace emulsion

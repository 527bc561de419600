#include "exec/value_table.h"

namespace emulsion {

std::optional<Value> ValueTable::read(const Operand& operand) const {
  if (const auto* id = std::get_if<ValueId>(&operand)) return find(*id);
  return std::visit([](const auto& constant) { return Value(constant); }, std::get<Param>(operand));
}

void ValueTable::move(ValueId id, c10::Device to) {
  std::optional<Value>& value = values_[index(id)];
  if (!value) return;
  if (auto* tensor = std::get_if<at::Tensor>(&*value)) *tensor = tensor->to(to);
  if (auto* bundle = std::get_if<Bundle>(&*value))
    for (auto& [name, tensor] : *bundle) tensor = tensor.to(to);
}

}  // namespace emulsion

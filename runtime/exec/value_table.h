#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "emulsion/value.h"
#include "graph/graph.h"

namespace emulsion {

// The values of a run by their ids; a value that is absent was not made yet, or has been let go.
// [run thread]
class ValueTable {
 public:
  explicit ValueTable(std::size_t values) : values_(values) {}

  void set(ValueId id, Value value) { values_[index(id)] = std::move(value); }
  void release(ValueId id) { values_[index(id)].reset(); }
  const std::optional<Value>& find(ValueId id) const { return values_[index(id)]; }

  // What an operand stands for; absent where its value is.
  std::optional<Value> read(const Operand& operand) const;
  // Moves tensors; a value that is there already, and scalars, stay as they are.
  void move(ValueId id, c10::Device to);

 private:
  std::vector<std::optional<Value>> values_;
};

}  // namespace emulsion

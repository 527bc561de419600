#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "emulsion/descriptor.h"
#include "graph/inputs.h"

namespace emulsion {

// What is enforced of a value, of a graph's input and of a node's parameter alike.
struct Limits {
  std::optional<double> min, max;
  std::int64_t multiple_of = 1;
  std::vector<std::string> choices;
};

Limits limits(const GraphInput& input);
Limits limits(const ParamSpec& spec);

// For people: "one of auto, euler", "8..8192, a multiple of 8", or empty.  [any thread]
std::string to_text(const Limits& limits);

// Empty when the value is within, else "expected a multiple of 8 in 8..8192, got 100; nearest are
// 96 and 104".  [any thread]
std::string beyond(const Limits& limits, const Param& value);

// The kind, an index of Param, of an input's values.  [any thread]
std::size_t kind_of(InputType type);

// The value in the kind that is wanted: itself, or a float made from an int;
// else nothing.  [any thread]
std::optional<Param> in_kind(const Param& value, std::size_t kind);

}  // namespace emulsion

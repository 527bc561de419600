#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "emulsion/memory.h"
#include "emulsion/port.h"  // before the name Bundle, which Holding has, too

namespace emulsion {

using Bundle = std::map<std::string, at::Tensor>;

// What travels on a wire.  Tensors of a value are read-only for whoever receives it.
using Value = std::variant<bool, std::int64_t, double, std::string, at::Tensor, Bundle>;

struct TensorSpec {
  std::vector<std::int64_t> shape;
  c10::ScalarType dtype = c10::ScalarType::Float;

  std::int64_t count() const {
    std::int64_t n = 1;
    for (const std::int64_t extent : shape) n *= extent;
    return n;
  }
  Bytes bytes() const { return count() * static_cast<Bytes>(c10::elementSize(dtype)); }
  bool operator==(const TensorSpec&) const = default;
};

using BundleSpec = std::map<std::string, TensorSpec>;

// What is known of a value before the run.  Scalars and strings are given by value where a
// forecast can tell them, and by monostate where it can't.
using ValueSpec =
    std::variant<std::monostate, bool, std::int64_t, double, std::string, TensorSpec, BundleSpec>;

// Bytes of the tensors; scalars and strings count nothing.  [any thread]
EMULSION_API Bytes bytes_of(const ValueSpec& spec);
EMULSION_API Bytes bytes_of(const Value& value);

// The spec of a value that is there.  [any thread]
EMULSION_API ValueSpec spec_of(const Value& value);

// "[1, 4, 64, 64] float32", "{hidden [1, 77, 1024] float32}", "20".  [any thread]
EMULSION_API std::string to_text(const ValueSpec& spec);
EMULSION_API std::string shape_text(c10::IntArrayRef shape);
EMULSION_API std::string dtype_text(c10::ScalarType dtype);

}  // namespace emulsion

#pragma once

#include <cstdint>

namespace emulsion::kernels {

// value / unit, and the multiple of unit, rounded up; value >= 0, unit > 0
constexpr std::int64_t quotient_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit;
}
constexpr std::int64_t rounded_up(std::int64_t value, std::int64_t unit) {
  return quotient_up(value, unit) * unit;
}

}  // namespace emulsion::kernels

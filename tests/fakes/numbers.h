#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace emulsion::fakes {

// Between -1 and 1, all in no order that could be seen.
inline std::vector<float> numbers(std::int64_t count) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(std::sin(static_cast<float>(i * i % 977)));
  return values;
}

inline std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

}  // namespace emulsion::fakes

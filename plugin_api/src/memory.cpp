#include "emulsion/memory.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

struct Unit {
  std::string_view name;
  double bytes;
};
constexpr std::array<Unit, 5> kUnits{{{"TiB", 1024.0 * 1024 * 1024 * 1024},
                                      {"GiB", 1024.0 * 1024 * 1024},
                                      {"MiB", 1024.0 * 1024},
                                      {"KiB", 1024.0},
                                      {"B", 1.0}}};

double unit_bytes(std::string_view name) {
  for (const Unit& unit : kUnits)
    if (unit.name == name) return unit.bytes;
  return name.empty() ? 1.0 : 0.0;
}

}  // namespace

std::string format_bytes(Bytes bytes) {
  const double value = static_cast<double>(bytes);
  for (const Unit& unit : kUnits) {
    if (std::abs(value) < unit.bytes && unit.bytes > 1) continue;
    const double count = value / unit.bytes;
    const int decimals = unit.bytes == 1 || std::abs(count) >= 100 ? 0 : count >= 10 ? 1 : 2;
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.*f ", decimals, count);
    return std::string(text.data()) + std::string(unit.name);
  }
  return "0 B";
}

Bytes parse_bytes(std::string_view text) {
  double count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  const double bytes = count * unit_bytes(unit);
  const bool representable = bytes >= 1 && bytes < 9e18;  // also refuses NaN
  if (error != std::errc{} || !representable)
    throw GraphError(str("'", text, "': expected a size such as 900MiB or 4GiB"));
  return static_cast<Bytes>(bytes);
}

}  // namespace emulsion

#include "graph/adapter_list.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

namespace emulsion {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// A colon that no number follows belongs to the path.
std::pair<std::string_view, double> with_strength(std::string_view entry) {
  const std::size_t colon = entry.rfind(':');
  if (colon == std::string_view::npos) return {entry, 1};
  const std::string_view text = trimmed(entry.substr(colon + 1));
  double strength = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), strength);
  const bool is_number = fault == std::errc() && end == text.data() + text.size();
  if (!is_number || !std::isfinite(strength)) return {entry, 1};
  return {trimmed(entry.substr(0, colon)), strength};
}

}  // namespace

std::vector<AdapterRef> adapters_in(std::string_view list, double strength) {
  std::vector<AdapterRef> adapters;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find_first_of(",\n"), list.size());
    const auto [file, own] = with_strength(trimmed(list.substr(0, end)));
    if (!file.empty()) adapters.push_back({std::string(file), own * strength});
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return adapters;
}

}  // namespace emulsion

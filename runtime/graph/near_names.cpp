#include "graph/near_names.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "emulsion/str.h"

namespace emulsion {
namespace {

// Insertions, deletions, substitutions and swaps of neighbours that turn a into b (optimal string
// alignment).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

// The one name that the text begins, or that begins the text, or empty.
std::string with_same_start(const std::vector<std::string>& candidates, std::string_view name) {
  constexpr std::size_t kShortest = 3;
  std::string best;
  for (const std::string& candidate : candidates) {
    if (std::min(candidate.size(), name.size()) < kShortest) continue;
    if (!candidate.starts_with(name) && !name.starts_with(candidate)) continue;
    if (!best.empty()) return {};
    best = candidate;
  }
  return best;
}

// The closest name with at most a third of its letters wrong (one in short names), or empty.
std::string nearest(const std::vector<std::string>& candidates, std::string_view name) {
  constexpr std::size_t kLongest = 64;  // no name is longer, and the distance is quadratic
  if (name.size() < 2 || name.size() > kLongest) return {};
  std::string best;
  std::size_t least = std::max<std::size_t>(1, name.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kLongest) continue;
    const std::size_t distance = edit_distance(candidate, name);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best.empty() ? with_same_start(candidates, name) : best;
}

}  // namespace

std::string joined(const std::vector<std::string>& names, std::string_view separator) {
  std::string text;
  for (const std::string& name : names) {
    if (!text.empty()) text += separator;
    text += name;
  }
  return text;
}

std::string expected_one_of(const std::vector<std::string>& candidates, std::string_view got) {
  constexpr std::size_t kMostToList = 12;
  if (candidates.empty()) return str(": expected none, got ", quote(got));
  const std::string near = nearest(candidates, got);
  std::string expected = candidates.size() == 1 ? "" : "one of ";
  if (candidates.size() > kMostToList && !near.empty())
    expected += str(candidates.size(), " names");
  else
    expected += joined(candidates);
  return str(": expected ", expected, ", got ", quote(got),
             near.empty() ? "" : str("; did you mean '", near, "'?"));
}

bool is_utf8(std::string_view text) {
  try {
    const std::string checked = nlohmann::json(text).dump();  // throws on ill-formed UTF-8
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

std::string quote(std::string_view text) {
  constexpr std::size_t kLongest = 60;
  const std::string_view head = text.substr(0, kLongest);
  const auto replace = nlohmann::json::error_handler_t::replace;
  std::string escaped = nlohmann::json(head).dump(-1, ' ', false, replace);
  escaped.front() = '\'';
  escaped.pop_back();
  return escaped + (text.size() > kLongest ? "…'" : "'");
}

}  // namespace emulsion

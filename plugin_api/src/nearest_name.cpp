#include "emulsion/nearest_name.h"

#include <algorithm>

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

}  // namespace

std::string nearest_name(const std::vector<std::string>& candidates, std::string_view name) {
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

}  // namespace emulsion

#include "plan/stream_level.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace emulsion {
namespace {

// The most that is there at once of blocks that come in turn, the first again after the last.
Bytes window_of(const std::vector<std::size_t>& chosen, const std::vector<Bytes>& blocks,
                bool prefetch) {
  Bytes window = 0;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const std::size_t next = chosen[(i + 1) % chosen.size()];
    const bool pair = prefetch && next != chosen[i];
    window = std::max(window, blocks[chosen[i]] + (pair ? blocks[next] : 0));
  }
  return window;
}

// Blocks no larger than `largest`, the largest first; of equal ones every other one first, so that
// those that stay lie between those that come.
std::vector<std::size_t> eligible(const std::vector<Bytes>& blocks, Bytes largest) {
  std::vector<std::size_t> order;
  for (const std::size_t parity : {0, 1})
    for (std::size_t i = parity; i < blocks.size(); i += 2)
      if (blocks[i] > 0 && blocks[i] <= largest) order.push_back(i);
  std::ranges::stable_sort(order, std::ranges::greater{}, [&](std::size_t i) { return blocks[i]; });
  return order;
}

}  // namespace

std::vector<StreamLevel> stream_levels(Bytes bytes, const std::vector<Bytes>& blocks,
                                       bool prefetch) {
  std::vector<StreamLevel> all{{.held = bytes, .prefetch = prefetch}};
  for (const Bytes largest : std::set<Bytes>(blocks.begin(), blocks.end())) {
    std::vector<std::size_t> chosen;
    Bytes streamed = 0;
    for (const std::size_t block : eligible(blocks, largest)) {
      chosen.insert(std::ranges::upper_bound(chosen, block), block);
      streamed += blocks[block];
      const Bytes held = bytes - streamed + window_of(chosen, blocks, prefetch);
      all.push_back({held, streamed, prefetch, chosen});
    }
  }
  std::ranges::stable_sort(all, {}, &StreamLevel::streamed);
  std::vector<StreamLevel> levels;
  for (StreamLevel& level : all)
    if (levels.empty() || level.held < levels.back().held) levels.push_back(std::move(level));
  return levels;
}

}  // namespace emulsion

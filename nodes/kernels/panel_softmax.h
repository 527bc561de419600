#pragma once

#include <cstdint>

#include "kernels/panel_tile.h"

namespace emulsion::kernels {

// What one query has seen of its keys: the highest scaled score, and the sum of e^(score -
// highest).
struct Seen {
  float highest, sum;
};

// A query's scores against some keys, [padded], a multiple of 32, of which the last are of no key.
struct ScoreRow {
  float* scores;
  std::int64_t count, padded;
  float scale;
  float* values;  // [width], a multiple of 16: what was summed with the weights so far
  std::int64_t width;
};

// Scores become the weights e^(scale * score - highest), below 1e-37 where there is no key, as
// words; what was seen and summed before is scaled likewise.  Weights are exact to 1e-6 of
// themselves, in pairs rounded from 7.5e-5 of themselves.  [any thread]
void weigh(const ScoreRow& row, Words words, Seen& seen);

}  // namespace emulsion::kernels

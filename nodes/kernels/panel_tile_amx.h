#pragma once

#include <span>

#include "kernels/panel_tile.h"

namespace emulsion::kernels {

// Products of pairs in the tile registers of AMX.  The system gives them to processes that ask,
// which the first call does.  [any thread]
bool has_amx();

// y [count, panels * 16] = rows times panels [panels, segments * depth, 16].  A row is made of
// segments of `depth` words; lengths are in bytes.
struct TileProduct {
  const char* rows;
  std::int64_t stride;                     // from one row to the next
  std::span<const std::int64_t> segments;  // where they begin, from a row's place
  std::int64_t depth, count;
  const float* panel;
  std::int64_t panels, distance;  // in words, from one panel to the next
  float* y;
  std::int64_t y_stride;  // in words
  bool adds = false;      // to what y holds
};
void multiply_amx(const TileProduct& product);

// Whether the rows lie evenly apart, which tile registers need.
bool suits_amx(const PanelProduct& product);
void multiply_amx(const PanelProduct& product);

}  // namespace emulsion::kernels

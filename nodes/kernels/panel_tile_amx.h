#pragma once

#include <span>

#include "kernels/panel_tile.h"

namespace emulsion::kernels {

// Products of pairs in the tile registers of AMX.  The system gives them to processes that ask,
// which the first call does.  [any thread]
bool has_amx();

// Sums that are complete: of rows first ... first + count - 1 and two panels.
struct TileSums {
  std::int64_t first, count, panel;
  const float* y;  // of the first row
};

// What is done with them at once, beside the products of the panels that follow.
struct TileUse {
  void (*use)(const void* context, const TileSums& sums);
  const void* context;
};

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
  // Where an even number of panels and a depth of a multiple of 16 give sums that are complete.
  const TileUse* then = nullptr;
};
void multiply_amx(const TileProduct& product);

}  // namespace emulsion::kernels

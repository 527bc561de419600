#pragma once

#include <cstdint>

namespace emulsion::kernels {

// The inner loop of products of panels (panel_product.h), whose sums stay in registers, in float32.

inline constexpr std::int64_t kPanelColumns = 16;
// Rows are multiplied so many at a time; fewer cost as much.
inline constexpr std::int64_t kTileRows = 12;

// y [count, panels * 16] = rows [count, depth] times panels [panels, depth, 16].
struct PanelProduct {
  const float* const* rows;
  std::int64_t count;
  const float* panel;
  std::int64_t panels, distance;  // from one panel to the next
  std::int64_t depth;
  float* y;
  std::int64_t stride;  // of y
  bool adds = false;    // to what y holds
};

// Whether the processor has the instructions: AVX2 or AVX-512.  [any thread]
bool has_panel_tiles();

void multiply(const PanelProduct& product);  // [any thread]

}  // namespace emulsion::kernels

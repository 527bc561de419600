#pragma once

#include <cstdint>

#include "kernels/panel_tile.h"
#include "kernels/vector_math.h"

namespace emulsion::kernels {

// What of a matrix [rows, depth] becomes a panel: sixteen rows, of which `columns` are there.  The
// depth of the matrix may be [depth / interleaved, interleaved]; that of the panel then is the
// other way round.
struct PanelRange {
  std::int64_t columns, depth;
  std::int64_t stride;  // from one row to the next
  std::int64_t interleaved = 1;
};

// Rows side by side: a panel [depth, 16] of float32, with zeros beside them; its rows are `apart`
// floats from each other.  For processors with AVX2.  [any thread]
void pack_panel(const float* rows, const PanelRange& range, float* panel,
                std::int64_t apart = kPanelColumns);
void pack_panel(const Bfloat16Bits* rows, const PanelRange& range, float* panel);

// The same in pairs: [depth / 2, 16] words; depth / interleaved is even.  For processors with
// AVX-512.  [any thread]
void pack_pairs(const Bfloat16Bits* rows, const PanelRange& range, float* panel);

// Either of them.  Of floats there are no pairs.
void pack_words(const float* rows, const PanelRange& range, Words words, float* panel);
void pack_words(const Bfloat16Bits* rows, const PanelRange& range, Words words, float* panel);

}  // namespace emulsion::kernels

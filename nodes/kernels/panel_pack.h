#pragma once

#include <cstdint>

#include "kernels/vector_math.h"

namespace emulsion::kernels {

// Sixteen rows of a matrix [rows, depth], of which `columns` are there, side by side: a panel
// [depth, 16] of float32, with zeros beside them.  The depth of the matrix may be [depth /
// interleaved, interleaved], that of the panel then is the other way round.  For processors with
// AVX2.  [any thread]
void pack_panel(const float* rows, std::int64_t columns, std::int64_t depth,
                std::int64_t interleaved, float* panel);
void pack_panel(const Bfloat16Bits* rows, std::int64_t columns, std::int64_t depth,
                std::int64_t interleaved, float* panel);

}  // namespace emulsion::kernels

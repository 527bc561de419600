#pragma once

#include <cstdint>

#include "kernels/vector_math.h"

namespace emulsion::kernels {

// Sixteen rows of a weight, `stride` apart, become a panel of pairs [depth / 2, 16]: words of two
// neighbours in the depth, which is a multiple of 32.  With AVX-512 and VBMI2, as processors with
// AMX have.
void pack_rows_amx(const Bfloat16Bits* rows, std::int64_t stride, std::int64_t depth, float* panel);

// The same of kernels [16, channels, 3, 3], which lie `stride` kernels apart: [9, channels / 2,
// 16].
void pack_kernels_amx(const Bfloat16Bits* rows, std::int64_t stride, std::int64_t channels,
                      float* panel);

// The same for a map whose size is doubled by nearest neighbours before: of the four results that a
// pixel becomes, each is a product with 2x2 pixels, for which taps that meet the same pixel are
// added up (and rounded).  [4, 4, channels / 2, 16]: results row by row, and pixels row by row.
void pack_halves_amx(const Bfloat16Bits* rows, std::int64_t stride, std::int64_t channels,
                     float* panel);

// Sixteen columns of rows become a panel of pairs [padded / 2, 16]: words of two rows that are
// neighbours.  Zeros stand for columns beyond `columns` and rows beyond `count`; `padded` is even.
void pack_pairs_amx(const Bfloat16Bits* rows, std::int64_t stride, std::int64_t count,
                    std::int64_t padded, std::int64_t columns, float* panel);

}  // namespace emulsion::kernels

#pragma once

#include <cstdint>

#include "kernels/vector_math.h"

// What becomes of a row of sums in float32.  [any thread]
namespace emulsion::kernels {

// x + more -> y, which may be x or more.
void add_row(const float* x, const float* more, std::int64_t count, float* y);
void add_row(const Bfloat16Bits* x, const float* more, std::int64_t count, float* y);

// Rounded to what y holds.
void narrow_row(const float* x, std::int64_t count, float* y);
void narrow_row(const float* x, std::int64_t count, Bfloat16Bits* y);

}  // namespace emulsion::kernels

#pragma once

#include <cstdint>

#include "kernels/vector_math.h"

namespace emulsion::kernels {

// Values [width] and then their gates [width] -> values times the gelu of the gates; width is a
// multiple of 16.  [any thread]
void gate_row(const float* values, std::int64_t width, float* y);
void gate_row(const float* values, std::int64_t width, Bfloat16Bits* y);
void gate_row(const Bfloat16Bits* values, std::int64_t width, Bfloat16Bits* y);

}  // namespace emulsion::kernels

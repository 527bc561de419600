#pragma once

#include "kernels/panel_tile.h"

namespace emulsion::kernels {

// The functions of panel_tile.h where the processor has AVX-512, for pairs with its instructions
// for bfloat16.
bool has_avx512(Words words);
void multiply_avx512(const PanelProduct& product, Words words);
void pair_up_avx512(float* x, std::int64_t count);

}  // namespace emulsion::kernels

#pragma once

#include "kernels/panel_tile.h"

namespace emulsion::kernels {

// multiply() where the processor has AVX-512.
bool has_avx512();
void multiply_avx512(const PanelProduct& product);

}  // namespace emulsion::kernels

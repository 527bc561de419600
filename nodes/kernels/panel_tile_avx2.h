#pragma once

#include "kernels/panel_tile.h"

namespace emulsion::kernels {

// multiply() of floats where the processor has AVX2.
void multiply_avx2(const PanelProduct& product);

}  // namespace emulsion::kernels

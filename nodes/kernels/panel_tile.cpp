#include "kernels/panel_tile.h"

#include "kernels/panel_tile_avx2.h"
#include "kernels/panel_tile_avx512.h"

namespace emulsion::kernels {

bool has_panel_tiles() {
#if defined(__x86_64__) && defined(__GNUC__)
  return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
#else
  return false;
#endif
}

void multiply(const PanelProduct& product) {
  static const bool is_wide = has_avx512();
  if (is_wide)
    multiply_avx512(product);
  else
    multiply_avx2(product);
}

}  // namespace emulsion::kernels

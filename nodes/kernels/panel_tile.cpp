#include "kernels/panel_tile.h"

#include "kernels/panel_tile_avx2.h"
#include "kernels/panel_tile_avx512.h"

namespace emulsion::kernels {

bool has_panel_tiles(Words words) {
#if defined(__x86_64__) && defined(__GNUC__)
  if (words == Words::BfloatPairs) return has_avx512(words);
  return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
#else
  return false;
#endif
}

namespace {

bool multiplies_pairs() {
#if defined(__x86_64__) && defined(__GNUC__)
  return has_panel_tiles(Words::BfloatPairs) && __builtin_cpu_is("intel") == 0;
#else
  return false;
#endif
}

}  // namespace

Words words_of(c10::ScalarType dtype, std::int64_t numbers) {
  static const bool has_pairs = multiplies_pairs();
  const bool are_pairs = has_pairs && dtype == c10::ScalarType::BFloat16 && numbers % 2 == 0;
  return are_pairs ? Words::BfloatPairs : Words::Floats;
}

bool is_widened(c10::ScalarType dtype, std::int64_t numbers) {
  return dtype != c10::ScalarType::Float && words_of(dtype, numbers) == Words::Floats;
}

void multiply(const PanelProduct& product, Words words) {
  static const bool is_wide = has_avx512(Words::Floats);
  if (is_wide)
    multiply_avx512(product, words);
  else
    multiply_avx2(product);
}

void pair_up(float* x, std::int64_t count) { pair_up_avx512(x, count); }

}  // namespace emulsion::kernels

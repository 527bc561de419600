#include "kernels/panel_tile_avx512.h"

#include <algorithm>

#include "kernels/vector_lanes.h"

#if defined(__x86_64__) && defined(__GNUC__)

namespace emulsion::kernels {
namespace {

// Panels side by side: with twelve rows, 24 sums in 32 registers.
constexpr int kWidth = 2;

// Rows m ... m + kRows - 1, or what is left of them, times `width` panels from p on.
template <int kRows, int width>
EMULSION_AVX512 EMULSION_INLINED void multiply_tile(const PanelProduct& product, std::int64_t p,
                                                    std::int64_t m) {
  const std::int64_t valid = std::min<std::int64_t>(kRows, product.count - m);
  const float* const panel = product.panel + p * product.distance;
  float* const y = product.y + m * product.stride + p * kPanelColumns;
  const float* rows[kRows];
  WideLanes sums[kRows][width] = {};
  for (int r = 0; r < kRows; ++r) {
    const std::int64_t row = std::min<std::int64_t>(r, valid - 1);
    rows[r] = product.rows[m + row];
    for (int c = 0; c < width && product.adds; ++c)
      sums[r][c] = wide_lanes_at(y + row * product.stride + c * kPanelColumns);
  }
  for (std::int64_t k = 0; k < product.depth; ++k) {
    WideLanes columns[width];
    for (int c = 0; c < width; ++c)
      columns[c] = wide_lanes_at(panel + c * product.distance + k * kPanelColumns);
    for (int r = 0; r < kRows; ++r)
      for (int c = 0; c < width; ++c) sums[r][c] += rows[r][k] * columns[c];
  }
  for (int r = 0; r < kRows; ++r)
    for (int c = 0; c < width && r < valid; ++c)
      wide_lanes_at(y + r * product.stride + c * kPanelColumns) = sums[r][c];
}

template <int width>
EMULSION_AVX512 EMULSION_INLINED void multiply_rows(const PanelProduct& product, std::int64_t p) {
  std::int64_t m = 0;
  for (; m + 8 < product.count; m += kTileRows) multiply_tile<kTileRows, width>(product, p, m);
  for (; m + 4 < product.count; m += 8) multiply_tile<8, width>(product, p, m);
  for (; m < product.count; m += 4) multiply_tile<4, width>(product, p, m);
}

}  // namespace

bool has_avx512() { return __builtin_cpu_supports("avx512f") != 0; }

EMULSION_AVX512 void multiply_avx512(const PanelProduct& product) {
  std::int64_t p = 0;
  for (; p + kWidth <= product.panels; p += kWidth) multiply_rows<kWidth>(product, p);
  for (; p < product.panels; ++p) multiply_rows<1>(product, p);
}

}  // namespace emulsion::kernels
#else
namespace emulsion::kernels {

bool has_avx512() { return false; }

void multiply_avx512(const PanelProduct& /*product*/) {}

}  // namespace emulsion::kernels
#endif

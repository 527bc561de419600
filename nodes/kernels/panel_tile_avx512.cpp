#include "kernels/panel_tile_avx512.h"

#include <algorithm>

#include "kernels/vector_lanes.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#include <cstring>

namespace emulsion::kernels {
namespace {

// Panels side by side: with six rows, 24 sums in 32 registers.
constexpr int kWidth = 4;

// sums + a row's word times sixteen columns
template <Words words>
EMULSION_AVX512 EMULSION_INLINED __m512 add_product(__m512 sums, const char* row, __m512 columns) {
  int word;
  std::memcpy(&word, row, sizeof(word));
  const __m512i x = _mm512_set1_epi32(word);
  if constexpr (words == Words::Floats)
    return _mm512_fmadd_ps(_mm512_castsi512_ps(x), columns, sums);
  else
    return _mm512_dpbf16_ps(sums, reinterpret_cast<__m512bh>(x),
                            reinterpret_cast<__m512bh>(columns));
}

// What the sums of a tile begin with, at an address in any case: a choice for each register would
// bring all of them to memory.
struct Begin {
  const float* first;
  std::int64_t stride;  // from one row to the next
};

EMULSION_INLINED Begin begin_of(const PanelProduct& product, std::int64_t p, const float* y) {
  alignas(64) static constexpr float kZeros[kWidth * kPanelColumns] = {};
  if (product.adds) return {y, product.stride};
  return {product.bias != nullptr ? product.bias + p * kPanelColumns : kZeros, 0};
}

// Rows m ... m + kRows - 1, or what is left of them, times `width` panels from p on.
template <Words words, int kRows, int width>
EMULSION_AVX512 EMULSION_INLINED void multiply_tile(const PanelProduct& product, std::int64_t p,
                                                    std::int64_t m) {
  const std::int64_t valid = std::min<std::int64_t>(kRows, product.count - m);
  const float* const panel = product.panel + p * product.distance;
  float* const y = product.y + m * product.stride + p * kPanelColumns;
  const Begin begin = begin_of(product, p, y);
  const char* rows[kRows];
  __m512 sums[kRows][width];
  for (int r = 0; r < kRows; ++r) {
    const std::int64_t row = std::min<std::int64_t>(r, valid - 1);
    rows[r] = static_cast<const char*>(product.rows[m + row]);
    for (int c = 0; c < width; ++c)
      sums[r][c] = _mm512_loadu_ps(begin.first + row * begin.stride + c * kPanelColumns);
  }
  for (std::int64_t k = 0; k < product.depth; ++k) {
    __m512 columns[width];
    for (int c = 0; c < width; ++c)
      columns[c] = _mm512_loadu_ps(panel + c * product.distance + k * kPanelColumns);
    for (int r = 0; r < kRows; ++r)
      for (int c = 0; c < width; ++c)
        sums[r][c] = add_product<words>(sums[r][c], rows[r] + k * 4, columns[c]);
  }
  for (int r = 0; r < kRows; ++r)
    for (int c = 0; c < width && r < valid; ++c)
      _mm512_storeu_ps(y + r * product.stride + c * kPanelColumns, sums[r][c]);
}

// All rows, times so many panels: `most` at a time, and at the end as many as are left or one more.
template <Words words, int width, int most>
EMULSION_AVX512 EMULSION_INLINED void multiply_rows(const PanelProduct& product, std::int64_t p) {
  std::int64_t m = 0;
  for (; m + most <= product.count; m += most) multiply_tile<words, most, width>(product, p, m);
  const std::int64_t left = product.count - m;
  if (most > 6 && left > 6)
    multiply_tile<words, 8, width>(product, p, m);
  else if (left > 4)
    multiply_tile<words, 6, width>(product, p, m);
  else if (left > 2)
    multiply_tile<words, 4, width>(product, p, m);
  else if (left > 0)
    multiply_tile<words, 2, width>(product, p, m);
}

template <Words words>
EMULSION_AVX512 void multiply_panels(const PanelProduct& product) {
  std::int64_t p = 0;
  for (; p + kWidth <= product.panels; p += kWidth) multiply_rows<words, kWidth, 6>(product, p);
  for (; p + 2 <= product.panels; p += 2) multiply_rows<words, 2, 8>(product, p);
  for (; p < product.panels; ++p) multiply_rows<words, 1, 8>(product, p);
}

}  // namespace

bool has_avx512(Words words) {
  const bool has_floats = __builtin_cpu_supports("avx512f") != 0;
  return has_floats && (words == Words::Floats || __builtin_cpu_supports("avx512bf16") != 0);
}

void multiply_avx512(const PanelProduct& product, Words words) {
  if (words == Words::Floats)
    multiply_panels<Words::Floats>(product);
  else
    multiply_panels<Words::BfloatPairs>(product);
}

EMULSION_AVX512 void pair_up_avx512(float* x, std::int64_t count) {
  auto* pairs = reinterpret_cast<char*>(x);
  for (std::int64_t i = 0; i < count; i += kPanelColumns) {
    const __m256bh sixteen = _mm512_cvtneps_pbh(_mm512_loadu_ps(x + i));
    std::memcpy(pairs + 2 * i, &sixteen, sizeof(sixteen));
  }
}

}  // namespace emulsion::kernels
#else
namespace emulsion::kernels {

bool has_avx512(Words /*words*/) { return false; }

void multiply_avx512(const PanelProduct& /*product*/, Words /*words*/) {}
void pair_up_avx512(float* /*x*/, std::int64_t /*count*/) {}

}  // namespace emulsion::kernels
#endif

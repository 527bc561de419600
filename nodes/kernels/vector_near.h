#pragma once

#include "kernels/vector_clones.h"
#include "kernels/vector_math.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

// Functions of sixteen floats for results that are rounded to bfloat16, by up to 2^-8 of them.
namespace emulsion::kernels {

// Masks that leave nothing out: gcc warns of what its own header leaves undefined without them.
inline constexpr __mmask16 kAll = 0xFFFF;
// A pair of ones.
inline constexpr std::uint32_t kOnes = 0x3F803F80;

// Sixteen bfloat16 as floats: those in `lanes`, and 0 for others, which are not read.
EMULSION_AVX512_PAIRS EMULSION_INLINED __m512 load_widened(const Bfloat16Bits* x,
                                                           __mmask16 lanes = kAll) {
  const __m512i bits = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, x));
  return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
}

// 2^t to 7.5e-5 of it, in `lanes`, and 0 in others: the cubic of t's fraction 0 <= r < 1 with the
// least relative distance.
EMULSION_AVX512_PAIRS EMULSION_INLINED __m512 near_power_of_2(__m512 t, __mmask16 lanes = kAll) {
  constexpr int kDown = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
  const __m512 r = _mm512_maskz_reduce_ps(kAll, t, kDown);
  __m512 series = _mm512_set1_ps(7.802449e-2F);
  series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(2.2606758e-1F));
  series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(6.9583318e-1F));
  series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(9.9992528e-1F));
  return _mm512_maskz_scalef_ps(lanes, series, t);  // by 2 to the power of t without its fraction
}

// x / (1 + e^-x) to 2e-4 of it.
EMULSION_AVX512_PAIRS EMULSION_INLINED __m512 near_silu(__m512 x) {
  const __m512 odds = near_power_of_2(_mm512_mul_ps(x, _mm512_set1_ps(-kLog2E)));
  return _mm512_mul_ps(x, _mm512_maskz_rcp14_ps(kAll, _mm512_add_ps(odds, _mm512_set1_ps(1))));
}

// x Phi(x), which is off by 2e-4 of it at most for x > -3, and by 2e-5.  Phi(x) = 1 / (1 + 2^-z),
// where the odd polynomial z is the nearest one to log2(Phi(x) / Phi(-x)) up to 6.
EMULSION_AVX512_PAIRS EMULSION_INLINED __m512 near_gelu(__m512 x) {
  const __m512 most = _mm512_set1_ps(6), least = _mm512_set1_ps(-6);
  const __m512 near = _mm512_maskz_max_ps(kAll, _mm512_maskz_min_ps(kAll, x, most), least);
  const __m512 square = _mm512_mul_ps(near, near);
  __m512 series = _mm512_set1_ps(-4.88849975e-8F);
  series = _mm512_fmadd_ps(series, square, _mm512_set1_ps(3.50024576e-6F));
  series = _mm512_fmadd_ps(series, square, _mm512_set1_ps(-7.22497509e-5F));
  series = _mm512_fmadd_ps(series, square, _mm512_set1_ps(-5.48384623e-4F));
  series = _mm512_fmadd_ps(series, square, _mm512_set1_ps(1.05831010e-1F));
  series = _mm512_fmadd_ps(series, square, _mm512_set1_ps(2.30159058F));
  const __m512 odds =
      near_power_of_2(_mm512_mul_ps(series, _mm512_sub_ps(_mm512_setzero_ps(), near)));
  const __m512 sum = _mm512_add_ps(odds, _mm512_set1_ps(1));
  return _mm512_mul_ps(x, _mm512_maskz_rcp14_ps(kAll, sum));
}

}  // namespace emulsion::kernels
#endif

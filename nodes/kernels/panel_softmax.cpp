#include "kernels/panel_softmax.h"

#include <algorithm>
#include <limits>

#include "kernels/panel_tile_avx512.h"
#include "kernels/vector_lanes.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

namespace emulsion::kernels {
namespace {

constexpr float kLowest = std::numeric_limits<float>::lowest();

EMULSION_INLINED float highest_of(const float* scores, std::int64_t count) {
  WideLanes even = wide_lanes_at(scores), odd = wide_lanes_at(scores + kWideLanes);
  for (std::int64_t i = 2 * kWideLanes; i < count; i += 2 * kWideLanes) {
    const WideLanes &next = wide_lanes_at(scores + i),
                    &after = wide_lanes_at(scores + i + kWideLanes);
    even = next > even ? next : even;
    odd = after > odd ? after : odd;
  }
  return highest_lane(odd > even ? odd : even);
}

EMULSION_VECTOR_CLONES void weigh_lanes(const ScoreRow& row, Seen& seen) {
  float* const scores = row.scores;
  const float highest = std::max(seen.highest, row.scale * highest_of(scores, row.padded));
  WideLanes sum = {};
  for (std::int64_t i = 0; i < row.padded; i += kWideLanes) {
    WideLanes& weights = wide_lanes_at(scores + i);
    weights = weights * row.scale - highest;
    exp_lanes(weights);
    sum += weights;
  }
  const float factor = exp_of(seen.highest - highest);
  seen = {highest, seen.sum * factor + sum_of_lanes(sum)};
  for (std::int64_t c = 0; c < row.width; c += kWideLanes) wide_lanes_at(row.values + c) *= factor;
}

#if defined(__x86_64__) && defined(__GNUC__)
constexpr __mmask16 kAll = 0xFFFF;

// 2^t for t <= 0.  t = n + r with whole n and |r| <= 1/2; Taylor's series of e^(r ln 2) to the
// sixth power, or to the fourth, which is enough for bfloat16.
template <Words words>
EMULSION_AVX512 EMULSION_INLINED __m512 power_of_2(__m512 t) {
  // With a mask, since gcc warns of what its own header leaves undefined otherwise.
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  const __m512 n = _mm512_maskz_roundscale_ps(kAll, t, kNearest);
  const __m512 r = _mm512_sub_ps(t, n);
  __m512 series = _mm512_set1_ps(9.6181291e-3F);
  if constexpr (words == Words::Floats) {
    series = _mm512_set1_ps(1.5403530e-4F);
    series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(1.3333558e-3F));
    series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(9.6181291e-3F));
  }
  series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(5.5504109e-2F));
  series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(2.4022651e-1F));
  series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(6.9314718e-1F));
  series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(1));
  return _mm512_maskz_scalef_ps(kAll, series, n);
}

template <Words words>
EMULSION_AVX512 void weigh_avx512(const ScoreRow& row, Seen& seen) {
  const float highest = std::max(seen.highest, row.scale * highest_of(row.scores, row.padded));
  const __m512 scale = _mm512_set1_ps(row.scale * kLog2E), most = _mm512_set1_ps(highest * kLog2E);
  __m512 even_sum = _mm512_setzero_ps(), odd_sum = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < row.padded; i += 32) {
    float* const scores = row.scores + i;
    const __m512 even = power_of_2<words>(_mm512_fmsub_ps(_mm512_loadu_ps(scores), scale, most)),
                 odd =
                     power_of_2<words>(_mm512_fmsub_ps(_mm512_loadu_ps(scores + 16), scale, most));
    even_sum = _mm512_add_ps(even_sum, even);
    odd_sum = _mm512_add_ps(odd_sum, odd);
    if constexpr (words == Words::Floats) {
      _mm512_storeu_ps(scores, even);
      _mm512_storeu_ps(scores + 16, odd);
    } else {
      const __m512bh pairs = _mm512_cvtne2ps_pbh(odd, even);
      _mm512_storeu_si512(row.scores + i / 2, reinterpret_cast<__m512i>(pairs));
    }
  }
  const float factor = exp_of(seen.highest - highest);
  seen = {highest, seen.sum * factor +
                       sum_of_lanes(reinterpret_cast<WideLanes>(_mm512_add_ps(even_sum, odd_sum)))};
  for (std::int64_t c = 0; c < row.width; c += kWideLanes) wide_lanes_at(row.values + c) *= factor;
}
#endif

}  // namespace

void weigh(const ScoreRow& row, Words words, Seen& seen) {
  std::fill(row.scores + row.count, row.scores + row.padded, kLowest);
#if defined(__x86_64__) && defined(__GNUC__)
  static const bool is_wide = has_avx512(Words::Floats);
  if (words == Words::BfloatPairs) return weigh_avx512<Words::BfloatPairs>(row, seen);
  if (is_wide) return weigh_avx512<Words::Floats>(row, seen);
#endif
  weigh_lanes(row, seen);
}

}  // namespace emulsion::kernels

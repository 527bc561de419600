#include "kernels/panel_softmax.h"

#include <algorithm>
#include <limits>

#include "kernels/panel_tile_avx512.h"
#include "kernels/vector_lanes.h"
#include "kernels/vector_near.h"

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

EMULSION_INLINED float highest_so_far(const ScoreRow& row, const Seen& seen) {
  return std::max(seen.highest, row.scale * highest_of(row.scores, row.padded));
}

// Weights of the row with that sum; what was summed up before had another highest score.
EMULSION_INLINED void see(const ScoreRow& row, float highest, float sum, Seen& seen) {
  const float factor = exp_of(seen.highest - highest);
  seen = {highest, seen.sum * factor + sum};
  for (std::int64_t c = 0; c < row.width; c += kWideLanes) wide_lanes_at(row.values + c) *= factor;
}

EMULSION_VECTOR_CLONES void weigh_lanes(const ScoreRow& row, Seen& seen) {
  float* const scores = row.scores;
  const float highest = highest_so_far(row, seen);
  WideLanes sum = {};
  for (std::int64_t i = 0; i < row.padded; i += kWideLanes) {
    WideLanes& weights = wide_lanes_at(scores + i);
    weights = weights * row.scale - highest;
    exp_lanes(weights);
    sum += weights;
  }
  see(row, highest, sum_of_lanes(sum), seen);
}

#if defined(__x86_64__) && defined(__GNUC__)
// 2^t for t <= 0, from its fraction.
EMULSION_AVX512 EMULSION_INLINED __m512 power_of_2(__m512 t) {
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  // Taylor's series of e^(r ln 2) to the sixth power, for |r| <= 1/2.
  const __m512 n = _mm512_maskz_roundscale_ps(kAll, t, kNearest);
  const __m512 r = _mm512_sub_ps(t, n);
  __m512 series = _mm512_set1_ps(1.5403530e-4F);
  series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(1.3333558e-3F));
  series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(9.6181291e-3F));
  series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(5.5504109e-2F));
  series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(2.4022651e-1F));
  series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(6.9314718e-1F));
  series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(1));
  return _mm512_maskz_scalef_ps(kAll, series, n);
}

EMULSION_AVX512 void weigh_floats(const ScoreRow& row, Seen& seen) {
  const float highest = highest_so_far(row, seen);
  const __m512 scale = _mm512_set1_ps(row.scale * kLog2E), most = _mm512_set1_ps(highest * kLog2E);
  __m512 even_sum = _mm512_setzero_ps(), odd_sum = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < row.padded; i += 32) {
    float* const scores = row.scores + i;
    const __m512 even = power_of_2(_mm512_fmsub_ps(_mm512_loadu_ps(scores), scale, most)),
                 odd = power_of_2(_mm512_fmsub_ps(_mm512_loadu_ps(scores + 16), scale, most));
    even_sum = _mm512_add_ps(even_sum, even);
    odd_sum = _mm512_add_ps(odd_sum, odd);
    _mm512_storeu_ps(scores, even);
    _mm512_storeu_ps(scores + 16, odd);
  }
  see(row, highest, sum_of_lanes(reinterpret_cast<WideLanes>(_mm512_add_ps(even_sum, odd_sum))),
      seen);
}

// The sum is that of rounded weights.
EMULSION_AVX512_PAIRS void weigh_pairs(const ScoreRow& row, Seen& seen) {
  const float highest = highest_so_far(row, seen);
  const __m512 scale = _mm512_set1_ps(row.scale * kLog2E), most = _mm512_set1_ps(highest * kLog2E);
  const auto ones = reinterpret_cast<__m512bh>(_mm512_set1_epi32(kOnes));
  __m512 sum = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < row.padded; i += 32) {
    const float* const scores = row.scores + i;
    const __m512 even = near_power_of_2(_mm512_fmsub_ps(_mm512_loadu_ps(scores), scale, most)),
                 odd = near_power_of_2(_mm512_fmsub_ps(_mm512_loadu_ps(scores + 16), scale, most));
    const __m512bh pairs = _mm512_cvtne2ps_pbh(odd, even);
    sum = _mm512_dpbf16_ps(sum, pairs, ones);
    _mm512_storeu_si512(row.scores + i / 2, reinterpret_cast<__m512i>(pairs));
  }
  see(row, highest, sum_of_lanes(reinterpret_cast<WideLanes>(sum)), seen);
}
#endif

}  // namespace

void weigh(const ScoreRow& row, Words words, Seen& seen) {
  std::fill(row.scores + row.count, row.scores + row.padded, kLowest);
#if defined(__x86_64__) && defined(__GNUC__)
  static const bool is_wide = has_avx512(Words::Floats);
  if (words == Words::BfloatPairs) return weigh_pairs(row, seen);
  if (is_wide) return weigh_floats(row, seen);
#endif
  weigh_lanes(row, seen);
}

}  // namespace emulsion::kernels

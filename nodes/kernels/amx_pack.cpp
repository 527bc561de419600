#include "kernels/amx_pack.h"

#include "kernels/vector_lanes.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define EMULSION_VBMI2 \
  __attribute__((target("avx512f,avx512bw,avx512vbmi2,avx512bf16,prefer-vector-width=512")))

namespace emulsion::kernels {
namespace {

constexpr std::int64_t kWords = 16;              // of a vector, and rows of a panel
constexpr std::int64_t kTaps = 9, kAhead = 512;  // bytes to fetch ahead

// Sixteen words of each of sixteen rows, `stride` bytes apart, become their columns.
EMULSION_VBMI2 EMULSION_INLINED void turn(const char* rows, std::int64_t stride, __m512i* to) {
  __m512i a[kWords], b[kWords];
  for (int i = 0; i < kWords; ++i) {
    a[i] = _mm512_loadu_si512(rows + i * stride);
    _mm_prefetch(rows + i * stride + kAhead, _MM_HINT_T0);
  }
  for (int i = 0; i < kWords; i += 2) {
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  }
  for (int i = 0; i < kWords; i += 4)
    for (int j = 0; j < 2; ++j) {
      a[i + 2 * j] = _mm512_unpacklo_epi64(b[i + j], b[i + j + 2]);
      a[i + 2 * j + 1] = _mm512_unpackhi_epi64(b[i + j], b[i + j + 2]);
    }
  // a[4 q + c] has the words c, c + 4, c + 8 and c + 12 of rows 4 q ... 4 q + 3.
  for (int c = 0; c < 4; ++c) {
    const __m512i low = _mm512_shuffle_i32x4(a[c], a[4 + c], 0x88),
                  odd = _mm512_shuffle_i32x4(a[c], a[4 + c], 0xDD),
                  low_below = _mm512_shuffle_i32x4(a[8 + c], a[12 + c], 0x88),
                  odd_below = _mm512_shuffle_i32x4(a[8 + c], a[12 + c], 0xDD);
    _mm512_storeu_si512(to + c, _mm512_shuffle_i32x4(low, low_below, 0x88));
    _mm512_storeu_si512(to + 8 + c, _mm512_shuffle_i32x4(low, low_below, 0xDD));
    _mm512_storeu_si512(to + 4 + c, _mm512_shuffle_i32x4(odd, odd_below, 0x88));
    _mm512_storeu_si512(to + 12 + c, _mm512_shuffle_i32x4(odd, odd_below, 0xDD));
  }
}

}  // namespace

EMULSION_VBMI2 void pack_rows_amx(const Bfloat16Bits* rows, std::int64_t stride, std::int64_t depth,
                                  float* panel) {
  for (std::int64_t k = 0; k < depth; k += 2 * kWords)
    turn(reinterpret_cast<const char*>(rows + k), stride * 2,
         reinterpret_cast<__m512i*>(panel + k / 2 * kWords));
}

EMULSION_VBMI2 void pack_kernels_amx(const Bfloat16Bits* rows, std::int64_t stride,
                                     std::int64_t channels, float* panel) {
  __m512i words[kTaps * kWords];  // of 32 channels: a pair of these has nine words, two a tap
  auto* const to = reinterpret_cast<__m512i*>(panel);
  for (std::int64_t first = 0; first < channels; first += 2 * kWords) {
    for (std::int64_t i = 0; i < kTaps; ++i)
      turn(reinterpret_cast<const char*>(rows + first * kTaps + i * 2 * kWords), stride * kTaps * 2,
           words + i * kWords);
    for (std::int64_t pair = 0; pair < kWords; ++pair) {
      const __m512i* const w = words + pair * kTaps;
      __m512i* const y = to + first / 2 + pair;
      for (std::int64_t tap = 0; tap < kTaps; tap += 2)
        _mm512_storeu_si512(y + tap * channels / 2,
                            _mm512_mask_blend_epi16(0xAAAAAAAA, w[tap / 2], w[tap / 2 + 4]));
      for (std::int64_t tap = 1; tap < kTaps; tap += 2)
        _mm512_storeu_si512(y + tap * channels / 2,
                            _mm512_shldi_epi32(w[tap / 2 + 5], w[tap / 2], 16));
    }
  }
}

EMULSION_VBMI2 void add_bias_amx(const float* sums, const float* bias, std::int64_t count,
                                 Bfloat16Bits* y) {
  for (std::int64_t n = 0; n < count; n += 2 * kWords) {
    const __m512 low = _mm512_add_ps(_mm512_loadu_ps(sums + n), _mm512_loadu_ps(bias + n)),
                 high = _mm512_add_ps(_mm512_loadu_ps(sums + n + kWords),
                                      _mm512_loadu_ps(bias + n + kWords));
    const __m512bh both = _mm512_cvtne2ps_pbh(high, low);
    _mm512_storeu_si512(y + n, reinterpret_cast<__m512i>(both));
  }
}

EMULSION_VBMI2 void gate_amx(const float* sums, const float* bias, const float* gates,
                             const float* gate_bias, std::int64_t count, Bfloat16Bits* y) {
  for (std::int64_t n = 0; n < count; n += kWords) {
    WideLanes gate = wide_lanes_at(gates + n) + wide_lanes_at(gate_bias + n);
    gelu_lanes(gate);
    narrow_lanes(gate * (wide_lanes_at(sums + n) + wide_lanes_at(bias + n)), y + n);
  }
}

}  // namespace emulsion::kernels
#else
namespace emulsion::kernels {

void pack_rows_amx(const Bfloat16Bits* /*rows*/, std::int64_t /*stride*/, std::int64_t /*depth*/,
                   float* /*panel*/) {}
void pack_kernels_amx(const Bfloat16Bits* /*rows*/, std::int64_t /*stride*/,
                      std::int64_t /*channels*/, float* /*panel*/) {}
void add_bias_amx(const float* /*sums*/, const float* /*bias*/, std::int64_t /*count*/,
                  Bfloat16Bits* /*y*/) {}
void gate_amx(const float* /*sums*/, const float* /*bias*/, const float* /*gates*/,
              const float* /*gate_bias*/, std::int64_t /*count*/, Bfloat16Bits* /*y*/) {}

}  // namespace emulsion::kernels
#endif

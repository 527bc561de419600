#pragma once

#include "kernels/vector_clones.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#include <cstdint>

namespace emulsion::kernels {

inline constexpr std::int64_t kTurnedWords = 16;  // of 32 bits: of a register, and rows

// Sixteen words of each of sixteen rows, `stride` bytes apart, become their columns.  The rows are
// fetched ahead of what is read.
EMULSION_AVX512 EMULSION_INLINED void turn_words(const char* rows, std::int64_t stride,
                                                 __m512i* to) {
  constexpr std::int64_t kAhead = 512;  // bytes
  __m512i a[kTurnedWords], b[kTurnedWords];
  for (int i = 0; i < kTurnedWords; ++i) {
    a[i] = _mm512_loadu_si512(rows + i * stride);
    _mm_prefetch(rows + i * stride + kAhead, _MM_HINT_T0);
  }
  for (int i = 0; i < kTurnedWords; i += 2) {
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  }
  for (int i = 0; i < kTurnedWords; i += 4)
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

}  // namespace emulsion::kernels
#endif

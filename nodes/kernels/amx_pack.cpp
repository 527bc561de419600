#include "kernels/amx_pack.h"

#include "kernels/vector_turn.h"

#if defined(__x86_64__) && defined(__GNUC__)

#define EMULSION_VBMI2   \
  __attribute__((target( \
      "avx512f,avx512dq,avx512bw,avx512vl,avx512vbmi2,avx512bf16,fma,prefer-vector-width=512")))

namespace emulsion::kernels {
namespace {

constexpr std::int64_t kWords = kTurnedWords;  // of a vector, and rows of a panel
constexpr std::int64_t kTaps = 9;

}  // namespace

EMULSION_VBMI2 void pack_rows_amx(const Bfloat16Bits* rows, std::int64_t stride, std::int64_t depth,
                                  float* panel) {
  for (std::int64_t k = 0; k < depth; k += 2 * kWords)
    turn_words(reinterpret_cast<const char*>(rows + k), stride * 2,
               reinterpret_cast<__m512i*>(panel + k / 2 * kWords));
}

namespace {

// Of sixteen kernels: nine words each for pairs of 32 channels, two taps in a word.
EMULSION_VBMI2 EMULSION_INLINED void turn_kernels(const Bfloat16Bits* rows, std::int64_t stride,
                                                  __m512i* words) {
  for (std::int64_t i = 0; i < kTaps; ++i)
    turn_words(reinterpret_cast<const char*>(rows + i * 2 * kWords), stride * kTaps * 2,
               words + i * kWords);
}

// The nine words of a pair of channels become nine taps, of both channels each.
EMULSION_VBMI2 EMULSION_INLINED void part_taps(const __m512i* w, __m512i* taps) {
  for (std::int64_t tap = 0; tap < kTaps; tap += 2)
    taps[tap] = _mm512_mask_blend_epi16(0xAAAAAAAA, w[tap / 2], w[tap / 2 + 4]);
  for (std::int64_t tap = 1; tap < kTaps; tap += 2)
    taps[tap] = _mm512_shldi_epi32(w[tap / 2 + 5], w[tap / 2], 16);
}

// A tap of two channels in float32.
struct TapPair {
  __m512 first, second;
};

EMULSION_VBMI2 EMULSION_INLINED TapPair wide_pair(__m512i tap) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(tap, 16)),
          _mm512_castsi512_ps(_mm512_and_si512(tap, _mm512_set1_epi32(-0x10000)))};
}

EMULSION_VBMI2 EMULSION_INLINED TapPair sum(const TapPair& a, const TapPair& b) {
  return {_mm512_add_ps(a.first, b.first), _mm512_add_ps(a.second, b.second)};
}

// Rounded, as pairs side by side.
EMULSION_VBMI2 EMULSION_INLINED __m512i narrow_pair(const TapPair& tap) {
  const __m512i first =
                    _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(tap.first))),
                second = _mm512_cvtepu16_epi32(
                    reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(tap.second)));
  return _mm512_or_si512(first, _mm512_slli_epi32(second, 16));
}

// Three taps in a line meet two pixels: of the first result 0 and 1 + 2, of the second 0 + 1 and 2.
EMULSION_VBMI2 EMULSION_INLINED void halve(const TapPair* taps, std::int64_t apart, TapPair* to,
                                           std::int64_t to_apart) {
  to[0] = taps[0];
  to[to_apart] = sum(taps[apart], taps[2 * apart]);
  to[2 * to_apart] = sum(taps[0], taps[apart]);
  to[3 * to_apart] = taps[2 * apart];
}

}  // namespace

EMULSION_VBMI2 void pack_kernels_amx(const Bfloat16Bits* rows, std::int64_t stride,
                                     std::int64_t channels, float* panel) {
  __m512i words[kTaps * kWords], taps[kTaps];
  auto* const to = reinterpret_cast<__m512i*>(panel);
  for (std::int64_t first = 0; first < channels; first += 2 * kWords) {
    turn_kernels(rows + first * kTaps, stride, words);
    for (std::int64_t pair = 0; pair < kWords; ++pair) {
      part_taps(words + pair * kTaps, taps);
      for (std::int64_t tap = 0; tap < kTaps; ++tap)
        _mm512_storeu_si512(to + first / 2 + pair + tap * channels / 2, taps[tap]);
    }
  }
}

EMULSION_VBMI2 void pack_halves_amx(const Bfloat16Bits* rows, std::int64_t stride,
                                    std::int64_t channels, float* panel) {
  __m512i words[kTaps * kWords], taps[kTaps];
  TapPair wide[kTaps], by_row[4 * 3], both[4 * 4];  // both: result row, pixel row; the same across
  auto* const to = reinterpret_cast<__m512i*>(panel);
  for (std::int64_t first = 0; first < channels; first += 2 * kWords) {
    turn_kernels(rows + first * kTaps, stride, words);
    for (std::int64_t pair = 0; pair < kWords; ++pair) {
      part_taps(words + pair * kTaps, taps);
      for (std::int64_t tap = 0; tap < kTaps; ++tap) wide[tap] = wide_pair(taps[tap]);
      for (std::int64_t column = 0; column < 3; ++column)
        halve(wide + column, 3, by_row + column, 3);
      for (std::int64_t row = 0; row < 4; ++row) halve(by_row + row * 3, 1, both + row * 4, 1);
      for (std::int64_t i = 0; i < 16; ++i) {
        // of i the bits: result row and column, pixel row and column
        const std::int64_t row = (i >> 3) * 2 + (i >> 1 & 1), column = (i >> 2 & 1) * 2 + (i & 1);
        _mm512_storeu_si512(to + first / 2 + pair + i * channels / 2,
                            narrow_pair(both[row * 4 + column]));
      }
    }
  }
}

EMULSION_VBMI2 void pack_pairs_amx(const Bfloat16Bits* rows, std::int64_t stride,
                                   std::int64_t count, std::int64_t padded, std::int64_t columns,
                                   float* panel) {
  const auto there = static_cast<__mmask16>((1U << columns) - 1);
  const auto load = [&](std::int64_t row) EMULSION_VBMI2 {
    const __mmask16 mask = row < count ? there : static_cast<__mmask16>(0);
    return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, rows + row * stride));
  };
  for (std::int64_t row = 0; row < padded; row += 2)
    _mm512_storeu_si512(panel + row / 2 * kWords,
                        _mm512_or_si512(load(row), _mm512_slli_epi32(load(row + 1), 16)));
}

}  // namespace emulsion::kernels
#else
namespace emulsion::kernels {

void pack_rows_amx(const Bfloat16Bits* /*rows*/, std::int64_t /*stride*/, std::int64_t /*depth*/,
                   float* /*panel*/) {}
void pack_kernels_amx(const Bfloat16Bits* /*rows*/, std::int64_t /*stride*/,
                      std::int64_t /*channels*/, float* /*panel*/) {}
void pack_halves_amx(const Bfloat16Bits* /*rows*/, std::int64_t /*stride*/,
                     std::int64_t /*channels*/, float* /*panel*/) {}
void pack_pairs_amx(const Bfloat16Bits* /*rows*/, std::int64_t /*stride*/, std::int64_t /*count*/,
                    std::int64_t /*padded*/, std::int64_t /*columns*/, float* /*panel*/) {}

}  // namespace emulsion::kernels
#endif

#pragma once

#include <cstdint>

#include "kernels/vector_math.h"

// Vectors as the compiler's own types: floats side by side, anywhere in memory.
namespace emulsion::kernels {

inline constexpr std::int64_t kLanes = 8;

using Lanes [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;

EMULSION_INLINED Lanes& lanes_at(float* x) { return *reinterpret_cast<Lanes*>(x); }
EMULSION_INLINED const Lanes& lanes_at(const float* x) {
  return *reinterpret_cast<const Lanes*>(x);
}

// One register of AVX-512, two of AVX2.
using WideLanes [[gnu::vector_size(64), gnu::aligned(4), gnu::may_alias]] = float;
inline constexpr std::int64_t kWideLanes = 16;

EMULSION_INLINED WideLanes& wide_lanes_at(float* x) { return *reinterpret_cast<WideLanes*>(x); }
EMULSION_INLINED const WideLanes& wide_lanes_at(const float* x) {
  return *reinterpret_cast<const WideLanes*>(x);
}

// Eight vectors become their columns.
EMULSION_INLINED void transpose(Lanes (&v)[kLanes]) {
  Lanes pairs[kLanes], quads[kLanes];
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = __builtin_shufflevector(v[i], v[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    pairs[i + 1] = __builtin_shufflevector(v[i], v[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; ++j) {
      const Lanes low = pairs[i + j], high = pairs[i + 2 + j];
      quads[i + 2 * j] = __builtin_shufflevector(low, high, 0, 1, 8, 9, 4, 5, 12, 13);
      quads[i + 2 * j + 1] = __builtin_shufflevector(low, high, 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int i = 0; i < 4; ++i) {
    v[i] = __builtin_shufflevector(quads[i], quads[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    v[i + 4] = __builtin_shufflevector(quads[i], quads[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

EMULSION_INLINED void widen_lanes(const float* x, Lanes& v) { v = lanes_at(x); }
EMULSION_INLINED void widen_lanes(const float* x, WideLanes& v) { v = wide_lanes_at(x); }

// Bfloat16 side by side, and the same as words.
EMULSION_INLINED void widen_lanes(const Bfloat16Bits* x, Lanes& v) {
  using Halves [[gnu::vector_size(16), gnu::aligned(2), gnu::may_alias]] = std::uint16_t;
  using Integers [[gnu::vector_size(32)]] = std::uint32_t;
  const Halves& halves = *reinterpret_cast<const Halves*>(x);
  v = reinterpret_cast<Lanes>(__builtin_convertvector(halves, Integers) << 16);
}
EMULSION_INLINED void widen_lanes(const Bfloat16Bits* x, WideLanes& v) {
  using Halves [[gnu::vector_size(32), gnu::aligned(2), gnu::may_alias]] = std::uint16_t;
  using Integers [[gnu::vector_size(64)]] = std::uint32_t;
  const Halves& halves = *reinterpret_cast<const Halves*>(x);
  v = reinterpret_cast<WideLanes>(__builtin_convertvector(halves, Integers) << 16);
}

// The first eight numbers of rows that lie `stride` apart, as columns; zeros for rows beyond
// `rows`.
template <class Element>
EMULSION_INLINED void load_columns(const Element* first, std::int64_t stride, std::int64_t rows,
                                   Lanes (&v)[kLanes]) {
  for (std::int64_t n = 0; n < kLanes; ++n) {
    v[n] = Lanes{};
    if (n < rows) widen_lanes(first + n * stride, v[n]);
  }
  transpose(v);
}

EMULSION_INLINED void narrow_lanes(const WideLanes& v, float* y) { wide_lanes_at(y) = v; }
// As narrow() does.
EMULSION_INLINED void narrow_lanes(const WideLanes& v, Bfloat16Bits* y) {
  using Halves [[gnu::vector_size(32), gnu::aligned(2), gnu::may_alias]] = std::uint16_t;
  using Integers [[gnu::vector_size(64)]] = std::uint32_t;
  const auto bits = reinterpret_cast<Integers>(v);
  *reinterpret_cast<Halves*>(y) =
      __builtin_convertvector((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16, Halves);
}

EMULSION_INLINED float highest_lane(const WideLanes& v) {
  const Lanes low = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7),
              high = __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  Lanes most = low > high ? low : high;
  const Lanes crossed = __builtin_shufflevector(most, most, 4, 5, 6, 7, 0, 1, 2, 3);
  most = most > crossed ? most : crossed;
  const Lanes swapped = __builtin_shufflevector(most, most, 2, 3, 0, 1, 6, 7, 4, 5);
  most = most > swapped ? most : swapped;
  return most[0] > most[1] ? most[0] : most[1];
}

EMULSION_INLINED float sum_of_lanes(const WideLanes& v) {
  Lanes sums = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
               __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  sums += __builtin_shufflevector(sums, sums, 4, 5, 6, 7, 0, 1, 2, 3);
  sums += __builtin_shufflevector(sums, sums, 2, 3, 0, 1, 6, 7, 4, 5);
  return sums[0] + sums[1];
}

// Each becomes e to its power; see exp_of().
EMULSION_INLINED void exp_lanes(WideLanes& x) {
  using Integers [[gnu::vector_size(64)]] = std::uint32_t;
  const WideLanes most = WideLanes{} + kMostExponent;
  x = x < -most ? -most : x;
  x = x > most ? most : x;
  const WideLanes shifted = x * kLog2E + kExpRounder, n = shifted - kExpRounder;
  const WideLanes r = (x - n * kLn2High) - n * kLn2Low;
  WideLanes series = r * (1.0F / 720) + 1.0F / 120;
  series = series * r + 1.0F / 24;
  series = series * r + 1.0F / 6;
  series = series * r + 0.5F;
  series = series * r * r + r + 1;
  x = series * reinterpret_cast<WideLanes>((reinterpret_cast<Integers>(shifted) + 127U) << 23);
}

// Each becomes x / 2 (1 + erf(x / sqrt(2))); erf to 1.5e-7 by Abramowitz & Stegun 1964, 7.1.26.
EMULSION_INLINED void gelu_lanes(WideLanes& x) {
  const WideLanes z = x * 0.70710678F, size = z < 0 ? -z : z;
  const WideLanes t = 1 / (size * 0.3275911F + 1);
  WideLanes series = t * 1.061405429F - 1.453152027F;
  series = series * t + 1.421413741F;
  series = series * t - 0.284496736F;
  series = (series * t + 0.254829592F) * t;
  WideLanes power = -(z * z);
  exp_lanes(power);
  const WideLanes beyond = series * power;  // 1 - erf(size)
  x = x * 0.5F * (z < 0 ? beyond : 2 - beyond);
}

}  // namespace emulsion::kernels

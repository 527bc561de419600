#pragma once

#include <bit>
#include <cstdint>

#include "kernels/vector_clones.h"

// Scalar functions that compilers turn into vector code in loops.
namespace emulsion::kernels {

// A bfloat16 in memory: the upper half of a float32.
enum class Bfloat16Bits : std::uint16_t {};

EMULSION_INLINED float widened(float x) { return x; }
EMULSION_INLINED float widened(Bfloat16Bits x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16);
}

EMULSION_INLINED void narrow(float x, float& result) { result = x; }
// Rounds to the nearest, ties to even; finite numbers only.
EMULSION_INLINED void narrow(float x, Bfloat16Bits& result) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  result = static_cast<Bfloat16Bits>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

// Of exp_of(): beyond +-87 it is as at the border; 1.5 * 2^23, which rounds to whole numbers when
// it is added; ln 2 in two parts.
inline constexpr float kMostExponent = 87, kExpRounder = 12582912, kLog2E = 1.44269504F;
inline constexpr float kLn2High = 0.693359375F, kLn2Low = -2.12194440e-4F;

// e^x to within two units in the last place, for x that is no NaN; beyond +-87 as at the border.
// x = n ln 2 + r with |r| <= ln 2 / 2; Taylor's series of e^r to the sixth power.  The bound is
// kept on x's bits: compilers do not vectorise a choice between floats.
EMULSION_INLINED float exp_of(float x) {
  constexpr auto kMost = std::bit_cast<std::int32_t>(kMostExponent);
  const auto bits = std::bit_cast<std::int32_t>(x);
  const std::int32_t magnitude = bits & 0x7FFFFFFF, sign = bits ^ magnitude;
  x = std::bit_cast<float>((magnitude < kMost ? magnitude : kMost) | sign);
  const float shifted = x * kLog2E + kExpRounder;
  const float n = shifted - kExpRounder;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float series = 1.0F / 720;
  series = series * r + 1.0F / 120;
  series = series * r + 1.0F / 24;
  series = series * r + 1.0F / 6;
  series = series * r + 0.5F;
  series = series * r * r + r + 1;
  const std::uint32_t power = (std::bit_cast<std::uint32_t>(shifted) + 127U) << 23;
  return series * std::bit_cast<float>(power);
}

// NaN of NaN.
EMULSION_INLINED float silu(float x) { return x / (1 + exp_of(-x)); }

}  // namespace emulsion::kernels

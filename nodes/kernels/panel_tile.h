#pragma once

#include <cstdint>

#include "kernels/vector_clones.h"
#include "kernels/vector_math.h"

// The inner loop of products in float32: six rows times sixteen columns, whose sums stay in the
// registers of AVX2.
namespace emulsion::kernels {

#if defined(__x86_64__) && defined(__GNUC__)
#define EMULSION_AVX2 __attribute__((target("avx2,fma")))
#else
#define EMULSION_AVX2
#endif

inline constexpr std::int64_t kPanelColumns = 16, kTileRows = 6;
inline constexpr std::int64_t kLanes = 8;

// Floats side by side, anywhere in memory.
using Lanes [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = float;

EMULSION_INLINED Lanes& lanes_at(float* x) { return *reinterpret_cast<Lanes*>(x); }
EMULSION_INLINED const Lanes& lanes_at(const float* x) {
  return *reinterpret_cast<const Lanes*>(x);
}

struct TileSums {
  Lanes at[kTileRows][2];
};

// sums += rows [6][depth] times a panel [depth, 16]
EMULSION_AVX2 EMULSION_INLINED void add_products(TileSums& sums, const float* const* rows,
                                                 const float* panel, std::int64_t depth) {
  for (std::int64_t k = 0; k < depth; ++k) {
    const Lanes left = lanes_at(panel + k * kPanelColumns);
    const Lanes right = lanes_at(panel + k * kPanelColumns + kLanes);
    for (std::int64_t r = 0; r < kTileRows; ++r) {
      const float x = rows[r][k];
      sums.at[r][0] += x * left;
      sums.at[r][1] += x * right;
    }
  }
}

// The rows of so many sums at y, `stride` apart; others are as the last of them.
EMULSION_AVX2 EMULSION_INLINED void load_sums(TileSums& sums, const float* y, std::int64_t stride,
                                              std::int64_t rows) {
  for (std::int64_t r = 0; r < kTileRows; ++r) {
    const float* from = y + (r < rows ? r : rows - 1) * stride;
    sums.at[r][0] = lanes_at(from);
    sums.at[r][1] = lanes_at(from + kLanes);
  }
}

EMULSION_AVX2 EMULSION_INLINED void store_sums(const TileSums& sums, float* y, std::int64_t stride,
                                               std::int64_t rows) {
  for (std::int64_t r = 0; r < rows; ++r) {
    lanes_at(y + r * stride) = sums.at[r][0];
    lanes_at(y + r * stride + kLanes) = sums.at[r][1];
  }
}

// Eight vectors become their columns.
EMULSION_AVX2 EMULSION_INLINED void transpose(Lanes (&v)[kLanes]) {
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

template <class Element>
EMULSION_AVX2 EMULSION_INLINED void widen_to(const Element* x, Lanes& v) {
  for (std::int64_t i = 0; i < kLanes; ++i) v[i] = widened(x[i]);
}

}  // namespace emulsion::kernels

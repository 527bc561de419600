#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/vector_clones.h"

// The tile registers of AMX as products of pairs use them: sums are in registers 0 to 3, rows in 4
// and 5, panels in 6 and 7.
#if defined(__x86_64__) && defined(__GNUC__) && defined(__linux__)
#include <immintrin.h>

#define EMULSION_AMX                                                                              \
  __attribute__((                                                                                 \
      target("amx-tile,amx-bf16,avx512f,avx512dq,avx512bw,avx512vl,avx512bf16,fma,prefer-vector-" \
             "width=512")))

namespace emulsion::kernels {

inline constexpr std::int64_t kTileWords = 16;  // rows of a tile, and words of each
inline constexpr std::int64_t kWordBytes = 4;
inline constexpr std::int64_t kTileRowBytes = kTileWords * kWordBytes;

// What a register holds: of sums `count` rows x 16 words, of rows `count` x depth, of panels depth
// x 16.  Of the second sixteen rows, whose sums are in registers 2 and 3, there are `second`.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start = 0, reserved[14] = {};
  std::uint16_t bytes[16] = {};
  std::uint8_t rows[16] = {};

  TileConfig(std::int64_t count, std::int64_t depth) : TileConfig(count, count, depth) {}
  TileConfig(std::int64_t count, std::int64_t second, std::int64_t depth) {
    for (int i = 0; i < 8; ++i) {
      const bool is_row = i == 4 || i == 5, is_second = i == 2 || i == 3 || i == 5;
      bytes[i] = static_cast<std::uint16_t>((is_row ? depth : kTileWords) * kWordBytes);
      rows[i] = static_cast<std::uint8_t>(i >= 6 ? depth : is_second ? second : count);
    }
  }
};

EMULSION_AMX EMULSION_INLINED void load_config(const TileConfig& config) {
  // gcc takes the instruction to read eight bytes only, and would leave the others out.
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}

// Sums of one or two tiles of rows and one or two panels, in memory.
struct TileBlock {
  float* first;
  std::int64_t stride;  // in words

  float* at(std::int64_t tile, std::int64_t panel) const {
    return first + tile * kTileWords * stride + panel * kTileWords;
  }
};

template <int kTiles, int kPanels>
EMULSION_AMX EMULSION_INLINED void clear_sums() {
  _tile_zero(0);
  if constexpr (kPanels == 2) _tile_zero(1);
  if constexpr (kTiles == 2) _tile_zero(2);
  if constexpr (kTiles == 2 && kPanels == 2) _tile_zero(3);
}

template <int kTiles, int kPanels>
EMULSION_AMX EMULSION_INLINED void load_sums(const TileBlock& sums) {
  const std::int64_t stride = sums.stride * kWordBytes;
  _tile_loadd(0, sums.at(0, 0), stride);
  if constexpr (kPanels == 2) _tile_loadd(1, sums.at(0, 1), stride);
  if constexpr (kTiles == 2) _tile_loadd(2, sums.at(1, 0), stride);
  if constexpr (kTiles == 2 && kPanels == 2) _tile_loadd(3, sums.at(1, 1), stride);
}

template <int kTiles, int kPanels>
EMULSION_AMX EMULSION_INLINED void store_sums(const TileBlock& sums) {
  const std::int64_t stride = sums.stride * kWordBytes;
  _tile_stored(0, sums.at(0, 0), stride);
  if constexpr (kPanels == 2) _tile_stored(1, sums.at(0, 1), stride);
  if constexpr (kTiles == 2) _tile_stored(2, sums.at(1, 0), stride);
  if constexpr (kTiles == 2 && kPanels == 2) _tile_stored(3, sums.at(1, 1), stride);
}

// One or two tiles of rows at x, `stride` bytes apart, and one or two panels, `distance` words
// apart.
struct TileFactors {
  const char* x;
  std::int64_t stride;
  const float* panel;
  std::int64_t distance;
};

// Adds so many of their products one after the other, each of `depth` words.
template <int kTiles, int kPanels>
EMULSION_AMX EMULSION_INLINED void add_products(const TileFactors& factors, std::int64_t steps,
                                                std::int64_t depth = kTileWords) {
  const auto [first, stride, panels, distance] = factors;
  const char* x = first;
  const float* w = panels;
  for (std::int64_t step = 0; step < steps; ++step) {
    _tile_loadd(6, w, kTileRowBytes);
    _tile_loadd(4, x, stride);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kPanels == 2) {
      _tile_loadd(7, w + distance, kTileRowBytes);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (kTiles == 2) {
      _tile_loadd(5, x + kTileWords * stride, stride);
      _tile_dpbf16ps(2, 5, 6);
    }
    if constexpr (kTiles == 2 && kPanels == 2) _tile_dpbf16ps(3, 5, 7);
    x += depth * kWordBytes;
    w += depth * kTileWords;
  }
}

}  // namespace emulsion::kernels
#endif

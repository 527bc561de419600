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

}  // namespace emulsion::kernels
#endif

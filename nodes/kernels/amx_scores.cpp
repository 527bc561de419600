#include "kernels/amx_scores.h"

#include <algorithm>
#include <array>
#include <limits>

#include "kernels/amx_tiles.h"
#include "kernels/vector_lanes.h"
#include "kernels/vector_near.h"

#if defined(__x86_64__) && defined(__GNUC__) && defined(__linux__)
namespace emulsion::kernels {
namespace {

constexpr std::int64_t kTile = kTileWords, kTileSize = kTile * kTile;
constexpr std::int64_t kBlock = kAmxQueries * kAmxKeyBlock;

// Scores of 32 queries and 32 keys -> [32, 32]
EMULSION_AMX EMULSION_INLINED void score(const AmxScores& s, std::int64_t first, float* to) {
  const std::int64_t words = s.width / 2;
  clear_sums<2, 2>();
  add_products<2, 2>({reinterpret_cast<const char*>(s.queries), s.width * 2, s.keys + first * words,
                      words * kTile},
                     words / kTile);
  store_sums<2, 2>({to, kAmxKeyBlock});
}

// Which of a block's keys there are.
struct Present {
  __mmask16 even, odd;

  explicit Present(std::int64_t keys)
      : even(static_cast<__mmask16>((1U << std::clamp<std::int64_t>(keys, 0, 16)) - 1)),
        odd(static_cast<__mmask16>((1U << std::clamp<std::int64_t>(keys - 16, 0, 16)) - 1)) {}
};

EMULSION_AMX EMULSION_INLINED void raise_block(const float* scores, const Present& present,
                                               float scale, float* highest) {
  const __m512 lowest = _mm512_set1_ps(std::numeric_limits<float>::lowest());
  for (std::int64_t i = 0; i < kAmxQueries; ++i) {
    const __m512 even = _mm512_loadu_ps(scores + i * kAmxKeyBlock),
                 odd = _mm512_loadu_ps(scores + i * kAmxKeyBlock + kTile);
    const __m512 both =
        _mm512_mask_max_ps(_mm512_mask_mov_ps(lowest, present.even, even), present.odd, even, odd);
    const float most = highest_lane(reinterpret_cast<WideLanes>(both));
    highest[i] = std::max(highest[i], scale * most);
  }
}

EMULSION_AMX EMULSION_INLINED void weigh_block(const float* scores, const Present& present,
                                               float scale, const float* highest,
                                               Bfloat16Bits* weights, std::int64_t stride) {
  const __m512 times = _mm512_set1_ps(scale);
  for (std::int64_t i = 0; i < kAmxQueries; ++i) {
    const __m512 less = _mm512_set1_ps(highest[i]);
    const float* const row = scores + i * kAmxKeyBlock;
    const __m512 even = near_power_of_2(_mm512_fmsub_ps(_mm512_loadu_ps(row), times, less),
                                        present.even),
                 odd = near_power_of_2(_mm512_fmsub_ps(_mm512_loadu_ps(row + kTile), times, less),
                                       present.odd);
    _mm512_storeu_si512(weights + i * stride,
                        reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(odd, even)));
  }
}

// Two tiles of weights times one or two panels of values, from a column on.
template <int kPanels>
EMULSION_AMX EMULSION_INLINED void add_panels(const Bfloat16Bits* weights, std::int64_t stride,
                                              std::int64_t padded, const AmxValues& values,
                                              std::int64_t column) {
  const TileBlock sums{values.sums + column, values.columns};
  load_sums<2, kPanels>(sums);
  add_products<2, kPanels>({reinterpret_cast<const char*>(weights), stride * 2,
                            values.panels + column / kTile * values.distance, values.distance},
                           padded / kAmxKeyBlock);
  store_sums<2, kPanels>(sums);
}

// A tile of pairs whose first column is ones.
struct alignas(64) OnesTile {
  std::array<std::uint32_t, kTileSize> words = {};

  OnesTile() {
    for (std::size_t i = 0; i < words.size(); i += kTile) words[i] = kOnes;
  }
};

EMULSION_AMX EMULSION_INLINED void add_weights(const Bfloat16Bits* weights, std::int64_t stride,
                                               std::int64_t padded, float* together) {
  static const OnesTile ones;
  constexpr std::int64_t kRow = kAmxSumColumns * 4;
  _tile_loadd(6, ones.words.data(), kTileRowBytes);
  _tile_loadd(0, together, kRow);
  _tile_loadd(1, together + kTileSize, kRow);
  for (std::int64_t k = 0; k < padded; k += kAmxKeyBlock) {
    _tile_loadd(4, weights + k, stride * 2);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(5, weights + kTile * stride + k, stride * 2);
    _tile_dpbf16ps(1, 5, 6);
  }
  _tile_stored(0, together, kRow);
  _tile_stored(1, together + kTileSize, kRow);
}

// Constructors cannot have these instructions.
EMULSION_AMX void begin() { load_config(TileConfig(kTile, kTile)); }
EMULSION_AMX void end() { _tile_release(); }

}  // namespace

AmxTiles::AmxTiles() { begin(); }
AmxTiles::~AmxTiles() { end(); }

EMULSION_AMX void raise_amx(const AmxScores& scores, float* highest) {
  alignas(64) float block[kBlock];
  for (std::int64_t key = 0; key < scores.padded; key += kAmxKeyBlock) {
    score(scores, key, block);
    raise_block(block, Present(scores.count - key), scores.scale, highest);
  }
}

namespace {

// Scores lie in memory for a block's time before they are read: what a tile register has stored
// cannot be read before it has reached the cache.
EMULSION_AMX EMULSION_INLINED void weigh_blocks(const AmxScores& scores, float (*blocks)[kBlock],
                                                const float* highest, Bfloat16Bits* weights,
                                                std::int64_t stride) {
  for (std::int64_t key = 0; key < scores.padded; key += kAmxKeyBlock) {
    const std::int64_t next = key + kAmxKeyBlock, at = key / kAmxKeyBlock % 2;
    if (next < scores.padded) score(scores, next, blocks[1 - at]);
    weigh_block(blocks[at], Present(scores.count - key), scores.scale, highest, weights + key,
                stride);
  }
}

}  // namespace

EMULSION_AMX void weigh_amx(const AmxScores& scores, const float* highest, Bfloat16Bits* weights,
                            std::int64_t stride) {
  alignas(64) float blocks[2][kBlock];
  score(scores, 0, blocks[0]);
  weigh_blocks(scores, blocks, highest, weights, stride);
}

EMULSION_AMX void raise_and_weigh_amx(const AmxScores& scores, float* highest,
                                      Bfloat16Bits* weights, std::int64_t stride) {
  alignas(64) float blocks[2][kBlock];
  score(scores, 0, blocks[0]);
  raise_block(blocks[0], Present(scores.count), scores.scale, highest);
  weigh_blocks(scores, blocks, highest, weights, stride);
}

EMULSION_AMX void add_values_amx(const Bfloat16Bits* weights, std::int64_t stride,
                                 std::int64_t padded, const AmxValues& values) {
  std::int64_t column = 0;
  for (; column + 2 * kTile <= values.columns; column += 2 * kTile)
    add_panels<2>(weights, stride, padded, values, column);
  if (column < values.columns) add_panels<1>(weights, stride, padded, values, column);
  add_weights(weights, stride, padded, values.together);
}

}  // namespace emulsion::kernels
#else
namespace emulsion::kernels {

AmxTiles::AmxTiles() {}
AmxTiles::~AmxTiles() {}
void raise_amx(const AmxScores& /*scores*/, float* /*highest*/) {}
void weigh_amx(const AmxScores& /*scores*/, const float* /*highest*/, Bfloat16Bits* /*weights*/,
               std::int64_t /*stride*/) {}
void raise_and_weigh_amx(const AmxScores& /*scores*/, float* /*highest*/, Bfloat16Bits* /*weights*/,
                         std::int64_t /*stride*/) {}
void add_values_amx(const Bfloat16Bits* /*weights*/, std::int64_t /*stride*/,
                    std::int64_t /*padded*/, const AmxValues& /*values*/) {}

}  // namespace emulsion::kernels
#endif

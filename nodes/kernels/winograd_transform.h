#pragma once

#include <cstdint>

#include "kernels/vector_math.h"

// The transforms of F(4x4, 3x3), see winograd.h, on the CPU.  Channels are multiples of 16.
namespace emulsion::kernels {

inline constexpr std::int64_t kTileSide = 6, kTileCells = 36;  // of a tile of inputs
inline constexpr std::int64_t kTileResults = 4;                // on a side

// Maps of samples with channels last, cut into tiles.
struct TileGrid {
  std::int64_t channels, height, width, rows, columns;  // rows and columns of tiles
  // The map in memory has half the height and width, and each of its pixels stands for four.
  bool is_doubled;

  TileGrid(std::int64_t c, std::int64_t h, std::int64_t w, bool doubled = false)
      : channels(c),
        height(h),
        width(w),
        rows((h + kTileResults - 1) / kTileResults),
        columns((w + kTileResults - 1) / kTileResults),
        is_doubled(doubled) {}
};

struct TileRange {
  std::int64_t first, count;
};

// Cells of a transformed tile: those of tile or channel i begin at first + i * stride, and each is
// `cell` floats from the one before.
struct TileCells {
  float* first;
  std::int64_t stride, cell;
};

// Tiles of the map x -> v [36, count, C].  `zeros` [C] stands for what is outside.
void transform_inputs(const TileGrid& grid, const float* x, const float* zeros,
                      const TileRange& tiles, const TileCells& v);
void transform_inputs(const TileGrid& grid, const Bfloat16Bits* x, const Bfloat16Bits* zeros,
                      const TileRange& tiles, const TileCells& v);

// Of weights [16, C, 3, 3], so many channels (a multiple of 8) from x on -> u [36, channels, 16]
void transform_filters(const float* x, std::int64_t C, std::int64_t channels, const TileCells& u);
void transform_filters(const Bfloat16Bits* x, std::int64_t C, std::int64_t channels,
                       const TileCells& u);

// Products m [36, count, filters] of tiles -> the map y, from its first of so many filters on, with
// their bias.
void transform_outputs(const TileGrid& grid, const TileCells& m, const TileRange& tiles,
                       std::int64_t filters, const float* bias, float* y);
void transform_outputs(const TileGrid& grid, const TileCells& m, const TileRange& tiles,
                       std::int64_t filters, const float* bias, Bfloat16Bits* y);

}  // namespace emulsion::kernels

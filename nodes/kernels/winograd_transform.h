#pragma once

#include <cstdint>

#include "kernels/rounding.h"
#include "kernels/vector_math.h"

// The transforms of F(4x4, 3x3) and F(5x5, 2x2), see winograd.h, on the CPU.  Channels are
// multiples of 16.
namespace emulsion::kernels {

inline constexpr std::int64_t kTileSide = 6, kTileCells = 36;  // of a tile of inputs
// On the side of what becomes of a tile.
inline constexpr std::int64_t kTileResults = 4, kDoubledResults = 5;

// Maps of samples with channels last, cut into tiles.  Where they are doubled, each of their pixels
// has four results, of which each phase has one.  Those in odd rows see the pixel below, those in
// even rows the one above; so a tile has the odd ones of pixels that lie one row before those of
// which it has the even ones, and there may be a row of tiles more.  Columns likewise.
struct TileGrid {
  std::int64_t channels, height, width;
  std::int64_t results;        // kTileResults or kDoubledResults
  std::int64_t rows, columns;  // of tiles

  TileGrid(std::int64_t c, std::int64_t h, std::int64_t w, bool is_doubled = false)
      : channels(c),
        height(h),
        width(w),
        results(is_doubled ? kDoubledResults : kTileResults),
        rows(quotient_up(is_doubled ? h + 1 : h, results)),
        columns(quotient_up(is_doubled ? w + 1 : w, results)) {}
};

// The only results of a map as it is, or of a doubled one those in even or odd rows and columns.
struct TilePhase {
  bool is_doubled = false;
  std::int64_t y = 0, x = 0;  // 0 or 1
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
void transform_filters(const float* x, std::int64_t C, std::int64_t channels,
                       const TilePhase& phase, const TileCells& u);
void transform_filters(const Bfloat16Bits* x, std::int64_t C, std::int64_t channels,
                       const TilePhase& phase, const TileCells& u);

// Products m [36, count, filters] of tiles -> the map y, which may be the doubled one of the grid,
// from its first of so many filters on, with their bias.
void transform_outputs(const TileGrid& grid, const TilePhase& phase, const TileCells& m,
                       const TileRange& tiles, std::int64_t filters, const float* bias, float* y);
void transform_outputs(const TileGrid& grid, const TilePhase& phase, const TileCells& m,
                       const TileRange& tiles, std::int64_t filters, const float* bias,
                       Bfloat16Bits* y);

}  // namespace emulsion::kernels

#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "models/cost.h"
#include "models/norm_statistics.h"

// An autoencoder's work in tiles that overlap and are blended, so that a picture of any size takes
// the memory of one tile.  The norms' statistics are taken from the whole picture, made as small as
// a tile; so the result is close to, but not exactly what the whole picture would give.  All in
// units of latent pixels.  [any thread]
namespace emulsion::models {

// How a VAE's node works: "whole", "one_by_one", "tiles_96", "tiles_64", "tiles_32".
std::vector<std::string> vae_variants();

// Tiles of one size, evenly spread, that cover a picture.
struct TileGrid {
  std::int64_t height = 0, width = 0;       // of a tile
  std::vector<std::int64_t> rows, columns;  // where tiles begin

  std::int64_t count() const { return static_cast<std::int64_t>(rows.size() * columns.size()); }
};

// One tile where the variant has none, or where they are no smaller than the picture.
TileGrid tile_grid(std::string_view variant, std::int64_t height, std::int64_t width);

// How a VAE's node goes through a batch: so many passes on maps of this size.
struct TiledPasses {
  TileGrid grid;
  std::int64_t batch = 1;  // pictures in a pass
  std::int64_t passes = 1;
};

TiledPasses tiled_passes(std::string_view variant, const MapBatch& latent);

// A model's pass; the statistics are null for a whole picture.
using TileFunction = std::function<at::Tensor(const at::Tensor& tile, NormStatistics* statistics)>;

// Computes tile by tile, and blends into `result`.  A latent pixel is `from` values wide in the
// input and `to` in the result.  input [B, C, H from, W from], result [B, D, H to, W to] float32
void blend_tiles(const at::Tensor& input, std::int64_t from, at::Tensor& result, std::int64_t to,
                 const TiledPasses& plan, const TileFunction& compute);

}  // namespace emulsion::models

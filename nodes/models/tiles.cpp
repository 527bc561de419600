#include "models/tiles.h"

#include <numbers>

#include "models/layers.h"
#include "models/ops.h"

namespace emulsion::models {
namespace {

constexpr std::string_view kTilesPrefix = "tiles_";
constexpr std::int64_t kMostOverlap = 16;  // beyond, what a decoder's convolutions see is little

// 0 for a variant without tiles.
std::int64_t edge_of(std::string_view variant) {
  if (!variant.starts_with(kTilesPrefix)) return 0;
  return std::stoll(std::string(variant.substr(kTilesPrefix.size())));
}

std::vector<std::int64_t> begins(std::int64_t side, std::int64_t edge) {
  if (side <= edge) return {0};
  const std::int64_t overlap = std::min(kMostOverlap, edge * 3 / 8), step = edge - overlap;
  const std::int64_t last = (side - edge + step - 1) / step;  // at least 1
  std::vector<std::int64_t> list;
  for (std::int64_t i = 0; i <= last; ++i) list.push_back(i * (side - edge) / last);
  return list;
}

// Rises from 0 to 1 over `overlap` as half a cosine does.
double rise(double position, double overlap) {
  if (position >= overlap) return 1;
  return 0.5 - 0.5 * std::cos(std::numbers::pi * position / overlap);
}

// What each tile has of each value along a side, [edge * scale] float32.  Over all tiles the shares
// of a place add up to 1.
std::vector<at::Tensor> shares(const std::vector<std::int64_t>& tiles, std::int64_t edge,
                               std::int64_t scale) {
  const auto length = static_cast<std::size_t>(edge * scale);
  std::vector<std::vector<float>> rises;
  std::vector<float> sums(static_cast<std::size_t>((tiles.back() + edge) * scale));
  const auto offset = [&](std::size_t i) { return static_cast<std::size_t>(tiles[i] * scale); };
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    const std::int64_t before = i == 0 ? 0 : tiles[i - 1] + edge - tiles[i];
    const std::int64_t after = i + 1 == tiles.size() ? 0 : tiles[i] + edge - tiles[i + 1];
    std::vector<float>& own = rises.emplace_back(length);
    for (std::size_t at = 0; at < length; ++at) {
      const double from_begin = (static_cast<double>(at) + 0.5) / static_cast<double>(scale);
      const double from_end = static_cast<double>(edge) - from_begin;
      own[at] = static_cast<float>(rise(from_begin, static_cast<double>(before)) *
                                   rise(from_end, static_cast<double>(after)));
      sums[offset(i) + at] += own[at];
    }
  }
  std::vector<at::Tensor> list;
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    for (std::size_t at = 0; at < length; ++at) rises[i][at] /= sums[offset(i) + at];
    list.push_back(at::tensor(rises[i]));
  }
  return list;
}

// By leaving out values, which keeps their distribution, as means would not.
at::Tensor as_small_as_a_tile(const at::Tensor& input, std::int64_t scale, const TileGrid& grid) {
  const std::int64_t height = input.size(2) / scale, width = input.size(3) / scale;
  const double shrink = std::min(static_cast<double>(grid.height) / static_cast<double>(height),
                                 static_cast<double>(grid.width) / static_cast<double>(width));
  const auto side = [&](std::int64_t length) {
    return scale * std::max<std::int64_t>(1, std::lround(static_cast<double>(length) * shrink));
  };
  return upsample(input, side(height), side(width));
}

// All tiles of some pictures.
void blend_pictures(const at::Tensor& input, std::int64_t from, const at::Tensor& result,
                    std::int64_t to, const TileGrid& grid, const TileFunction& compute) {
  if (grid.count() == 1) {
    result.copy_(compute(input, nullptr));
    return;
  }
  NormStatistics statistics;
  compute(as_small_as_a_tile(input, from, grid), &statistics);
  result.zero_();
  const auto row_shares = shares(grid.rows, grid.height, to);
  const auto column_shares = shares(grid.columns, grid.width, to);
  for (std::size_t i = 0; i < grid.rows.size(); ++i)
    for (std::size_t j = 0; j < grid.columns.size(); ++j) {
      const auto window = [&](const at::Tensor& map, std::int64_t scale) {
        return map.narrow(2, grid.rows[i] * scale, grid.height * scale)
            .narrow(3, grid.columns[j] * scale, grid.width * scale);
      };
      statistics.begin_pass();
      at::Tensor tile = compute(window(input, from).contiguous(), &statistics).to(at::kFloat);
      tile.mul_(row_shares[i].to(tile.device()).unsqueeze(-1));
      window(result, to).addcmul_(tile, column_shares[j].to(tile.device()));
    }
}

}  // namespace

std::vector<std::string> vae_variants() {
  return {"whole", "one_by_one", "tiles_96", "tiles_64", "tiles_32"};
}

TileGrid tile_grid(std::string_view variant, std::int64_t height, std::int64_t width) {
  const std::int64_t edge = edge_of(variant);
  if (edge == 0) return {height, width, {0}, {0}};
  return {std::min(edge, height), std::min(edge, width), begins(height, edge), begins(width, edge)};
}

TiledPasses tiled_passes(std::string_view variant, const MapBatch& latent) {
  TiledPasses plan{tile_grid(variant, latent.height, latent.width)};
  plan.batch = variant == "whole" ? latent.batch : 1;
  const std::int64_t tiles = plan.grid.count();  // and one pass for the statistics
  plan.passes = latent.batch / plan.batch * (tiles == 1 ? 1 : tiles + 1);
  return plan;
}

void blend_tiles(const at::Tensor& input, std::int64_t from, at::Tensor& result, std::int64_t to,
                 const TiledPasses& plan, const TileFunction& compute) {
  for (std::int64_t b = 0; b < input.size(0); b += plan.batch)
    blend_pictures(input.narrow(0, b, plan.batch), from, result.narrow(0, b, plan.batch), to,
                   plan.grid, compute);
}

}  // namespace emulsion::models

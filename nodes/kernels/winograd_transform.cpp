#include "kernels/winograd_transform.h"

#include <algorithm>
#include <array>

#include "kernels/panel_pack.h"
#include "kernels/vector_lanes.h"

namespace emulsion::kernels {
namespace {

constexpr std::int64_t kTaps = 9, kSummedTaps = 4;
constexpr std::int64_t kTurnedChannels = 32;  // of filters, at a time

// Points of interpolation 0, +-A, +-B and infinity, of which Barabasz et al. 2020 ("Error analysis
// and improving the accuracy of Winograd convolution") show how they decide the error.
constexpr float kA = 0.75F, kB = 1.5F, kA2 = kA * kA, kB2 = kB * kB;
constexpr float kNorm0 = 1 / (kA2 * kB2), kNormA = 1 / (2 * kA2 * (kA2 - kB2)),
                kNormB = 1 / (2 * kB2 * (kB2 - kA2));

// The one-dimensional transforms, of sixteen lines side by side.
EMULSION_INLINED void input_line(const WideLanes (&d)[kTileSide], WideLanes (&v)[kTileSide]) {
  const WideLanes even_a = d[4] - kB2 * d[2], odd_a = kA * (d[3] - kB2 * d[1]);
  const WideLanes even_b = d[4] - kA2 * d[2], odd_b = kB * (d[3] - kA2 * d[1]);
  v[0] = kA2 * kB2 * d[0] - (kA2 + kB2) * d[2] + d[4];
  v[1] = even_a + odd_a;
  v[2] = even_a - odd_a;
  v[3] = even_b + odd_b;
  v[4] = even_b - odd_b;
  v[5] = kA2 * kB2 * d[1] - (kA2 + kB2) * d[3] + d[5];
}

template <std::int64_t taps>
EMULSION_INLINED void filter_line(const WideLanes (&g)[taps], WideLanes (&u)[kTileSide]) {
  WideLanes even_a = g[0], even_b = g[0];
  if constexpr (taps == 3) {
    even_a += kA2 * g[2];
    even_b += kB2 * g[2];
  }
  even_a *= kNormA;
  even_b *= kNormB;
  const WideLanes odd_a = kNormA * kA * g[1], odd_b = kNormB * kB * g[1];
  u[0] = kNorm0 * g[0];
  u[1] = even_a + odd_a;
  u[2] = even_a - odd_a;
  u[3] = even_b + odd_b;
  u[4] = even_b - odd_b;
  u[5] = g[taps - 1];
}

template <std::int64_t results>
EMULSION_INLINED void output_line(const WideLanes (&m)[kTileSide], WideLanes (&y)[results]) {
  const WideLanes sum_a = m[1] + m[2], difference_a = m[1] - m[2];
  const WideLanes sum_b = m[3] + m[4], difference_b = m[3] - m[4];
  y[0] = m[0] + sum_a + sum_b;
  y[1] = kA * difference_a + kB * difference_b;
  y[2] = kA2 * sum_a + kB2 * sum_b;
  y[3] = kA2 * kA * difference_a + kB2 * kB * difference_b;
  if constexpr (results == kDoubledResults) y[4] = kA2 * kA2 * sum_a + kB2 * kB2 * sum_b;
  y[results - 1] += m[5];
}

// Both dimensions: columns, then rows.
template <std::int64_t kFrom, std::int64_t kTo, class Line>
EMULSION_INLINED void transform_square(const WideLanes (&from)[kFrom * kFrom],
                                       WideLanes (&to)[kTo * kTo], const Line& line) {
  WideLanes half[kTo * kFrom];
  for (std::int64_t j = 0; j < kFrom; ++j) {
    WideLanes column[kFrom], result[kTo];
    for (std::int64_t i = 0; i < kFrom; ++i) column[i] = from[i * kFrom + j];
    line(column, result);
    for (std::int64_t i = 0; i < kTo; ++i) half[i * kFrom + j] = result[i];
  }
  for (std::int64_t i = 0; i < kTo; ++i) {
    WideLanes row[kFrom], result[kTo];
    for (std::int64_t j = 0; j < kFrom; ++j) row[j] = half[i * kFrom + j];
    line(row, result);
    for (std::int64_t j = 0; j < kTo; ++j) to[i * kTo + j] = result[j];
  }
}

struct Corner {  // of a tile: its inputs begin one pixel before
  std::int64_t sample, y, x;
};

EMULSION_INLINED Corner corner_of(const TileGrid& grid, std::int64_t tile) {
  const std::int64_t row = tile / grid.columns;
  return {row / grid.rows, row % grid.rows * grid.results, tile % grid.columns * grid.results};
}

// The pixels under a tile, in order; `zeros` stands for what is outside.
template <class Element>
EMULSION_INLINED std::array<const Element*, kTileCells> pixels_under(const TileGrid& grid,
                                                                     const Corner& corner,
                                                                     const Element* x,
                                                                     const Element* zeros) {
  std::array<const Element*, kTileCells> pixels;
  for (std::int64_t k = 0; k < kTileCells; ++k) {
    const std::int64_t row = corner.y - 1 + k / kTileSide, column = corner.x - 1 + k % kTileSide;
    const bool inside = row >= 0 && row < grid.height && column >= 0 && column < grid.width;
    const std::int64_t pixel = (corner.sample * grid.height + row) * grid.width + column;
    pixels[static_cast<std::size_t>(k)] = inside ? x + pixel * grid.channels : zeros;
  }
  return pixels;
}

template <class Element>
EMULSION_INLINED void inputs_to_cells(const TileGrid& grid, const Element* x, const Element* zeros,
                                      const TileRange& tiles, const TileCells& v) {
  for (std::int64_t t = 0; t < tiles.count; ++t) {
    const auto pixels = pixels_under(grid, corner_of(grid, tiles.first + t), x, zeros);
    float* const to = v.first + t * v.stride;
    for (std::int64_t c = 0; c < grid.channels; c += kWideLanes) {
      WideLanes tile[kTileCells], transformed[kTileCells];
      for (std::size_t k = 0; k < kTileCells; ++k) widen_lanes(pixels[k] + c, tile[k]);
      transform_square<kTileSide, kTileSide>(tile, transformed, input_line);
      for (std::int64_t k = 0; k < kTileCells; ++k)
        wide_lanes_at(to + k * v.cell + c) = transformed[k];
    }
  }
}

// Two neighbouring taps see the same pixel of a map that is doubled: in even rows and columns the
// last two, in odd ones the first two.
EMULSION_INLINED void sum_taps(const WideLanes (&taps)[kTaps], const TilePhase& phase,
                               WideLanes (&sums)[kSummedTaps]) {
  for (WideLanes& sum : sums) sum = WideLanes{};
  for (std::int64_t i = 0; i < 3; ++i)
    for (std::int64_t j = 0; j < 3; ++j)
      sums[(i > phase.y ? 2 : 0) + (j > phase.x ? 1 : 0)] += taps[i * 3 + j];
}

EMULSION_INLINED void transform_filter(const WideLanes (&taps)[kTaps], const TilePhase& phase,
                                       WideLanes (&transformed)[kTileCells]) {
  if (!phase.is_doubled) {
    transform_square<3, kTileSide>(taps, transformed, filter_line<3>);
    return;
  }
  WideLanes sums[kSummedTaps];
  sum_taps(taps, phase, sums);
  transform_square<2, kTileSide>(sums, transformed, filter_line<2>);
}

template <class Element>
EMULSION_INLINED void filters_to_cells(const Element* x, std::int64_t C, std::int64_t channels,
                                       const TilePhase& phase, const TileCells& u) {
  float taps[kTurnedChannels * kTaps * kWideLanes];  // [channels, 9, 16]
  for (std::int64_t c = 0; c < channels; c += kTurnedChannels) {
    const std::int64_t turned = std::min(kTurnedChannels, channels - c);
    pack_panel(x + c * kTaps, {kWideLanes, turned * kTaps, C * kTaps}, taps);
    for (std::int64_t n = 0; n < turned; ++n) {
      WideLanes filter[kTaps], transformed[kTileCells];
      for (std::int64_t k = 0; k < kTaps; ++k)
        filter[k] = wide_lanes_at(taps + (n * kTaps + k) * kWideLanes);
      transform_filter(filter, phase, transformed);
      float* const to = u.first + (c + n) * u.stride;
      for (std::int64_t k = 0; k < kTileCells; ++k) wide_lanes_at(to + k * u.cell) = transformed[k];
    }
  }
}

// Which of a tile's results lie in the map, and where.
struct Span {
  std::int64_t begin, end, first;  // `first`: where result 0 would lie

  Span(std::int64_t corner, std::int64_t phase, std::int64_t size, std::int64_t results)
      : begin(std::max<std::int64_t>(0, phase - corner)),
        end(std::min(results, size + phase - corner)),
        first(corner - phase) {}
};

template <std::int64_t kResults, class Element>
EMULSION_INLINED void cells_to_results(const TileGrid& grid, const TilePhase& phase,
                                       const TileCells& m, const TileRange& tiles,
                                       std::int64_t filters, const float* bias, Element* y) {
  const std::int64_t step = phase.is_doubled ? 2 : 1;  // from one result to the next
  const std::int64_t height = step * grid.height, width = step * grid.width;
  for (std::int64_t t = 0; t < tiles.count; ++t) {
    const Corner corner = corner_of(grid, tiles.first + t);
    const Span rows(corner.y, phase.y, grid.height, kResults);
    const Span columns(corner.x, phase.x, grid.width, kResults);
    const std::int64_t row = corner.sample * height + step * rows.first + phase.y;
    const std::int64_t first = row * width + step * columns.first + phase.x;
    for (std::int64_t c = 0; c < filters; c += kWideLanes) {
      WideLanes cells[kTileCells], results[kResults * kResults];
      const float* from = m.first + t * m.stride + c;
      for (std::int64_t k = 0; k < kTileCells; ++k) cells[k] = wide_lanes_at(from + k * m.cell);
      transform_square<kTileSide, kResults>(cells, results, output_line<kResults>);
      for (std::int64_t i = rows.begin; i < rows.end; ++i)
        for (std::int64_t j = columns.begin; j < columns.end; ++j)
          narrow_lanes(results[i * kResults + j] + wide_lanes_at(bias + c),
                       y + (first + step * (i * width + j)) * grid.channels + c);
    }
  }
}

template <class Element>
EMULSION_INLINED void cells_to_outputs(const TileGrid& grid, const TilePhase& phase,
                                       const TileCells& m, const TileRange& tiles,
                                       std::int64_t filters, const float* bias, Element* y) {
  if (phase.is_doubled)
    cells_to_results<kDoubledResults>(grid, phase, m, tiles, filters, bias, y);
  else
    cells_to_results<kTileResults>(grid, phase, m, tiles, filters, bias, y);
}

}  // namespace

EMULSION_VECTOR_CLONES void transform_inputs(const TileGrid& grid, const float* x,
                                             const float* zeros, const TileRange& tiles,
                                             const TileCells& v) {
  inputs_to_cells(grid, x, zeros, tiles, v);
}

EMULSION_VECTOR_CLONES void transform_filters(const float* x, std::int64_t C, std::int64_t channels,
                                              const TilePhase& phase, const TileCells& u) {
  filters_to_cells(x, C, channels, phase, u);
}

EMULSION_VECTOR_CLONES void transform_outputs(const TileGrid& grid, const TilePhase& phase,
                                              const TileCells& m, const TileRange& tiles,
                                              std::int64_t filters, const float* bias, float* y) {
  cells_to_outputs(grid, phase, m, tiles, filters, bias, y);
}

EMULSION_VECTOR_CLONES void transform_inputs(const TileGrid& grid, const Bfloat16Bits* x,
                                             const Bfloat16Bits* zeros, const TileRange& tiles,
                                             const TileCells& v) {
  inputs_to_cells(grid, x, zeros, tiles, v);
}

EMULSION_VECTOR_CLONES void transform_filters(const Bfloat16Bits* x, std::int64_t C,
                                              std::int64_t channels, const TilePhase& phase,
                                              const TileCells& u) {
  filters_to_cells(x, C, channels, phase, u);
}

EMULSION_VECTOR_CLONES void transform_outputs(const TileGrid& grid, const TilePhase& phase,
                                              const TileCells& m, const TileRange& tiles,
                                              std::int64_t filters, const float* bias,
                                              Bfloat16Bits* y) {
  cells_to_outputs(grid, phase, m, tiles, filters, bias, y);
}

}  // namespace emulsion::kernels

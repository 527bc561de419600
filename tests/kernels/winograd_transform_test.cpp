#include "kernels/winograd_transform.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "check.h"
#include "fakes/bfloat16.h"
#include "fakes/numbers.h"

namespace emulsion::kernels {
namespace {

using fakes::at, fakes::numbers;
using Square = std::vector<double>;  // of numbers, row by row

// The matrices of Toom and Cook's algorithm for these points and infinity, as Lavin & Gray 2016
// call them: inputs B [6, 6], filters G [6, taps], outputs A [7 - taps, 6].
constexpr std::array kPoints{0.0, 0.75, -0.75, 1.5, -1.5};

struct Matrix {
  std::int64_t rows, columns;
  std::vector<double> values;

  double operator()(std::int64_t i, std::int64_t j) const { return values[at(i * columns + j)]; }
};

// Coefficients of the product of all (x - point) but one's; with no such one, of all.
std::vector<double> polynomial(std::size_t without) {
  std::vector<double> product{1};
  for (std::size_t i = 0; i < kPoints.size(); ++i) {
    if (i == without) continue;
    product.insert(product.begin(), 0);
    for (std::size_t k = 0; k + 1 < product.size(); ++k) product[k] -= kPoints[i] * product[k + 1];
  }
  product.resize(kTileSide, 0);
  return product;
}

Matrix inputs_matrix() {
  Matrix b{kTileSide, kTileSide, {}};
  for (std::size_t i = 0; i < kTileSide; ++i)
    for (const double value : polynomial(i)) b.values.push_back(value);
  return b;
}

Matrix filters_matrix(std::int64_t taps) {
  Matrix g{kTileSide, taps, {}};
  for (std::size_t i = 0; i < kPoints.size(); ++i) {
    double norm = 1;
    for (std::size_t j = 0; j < kPoints.size(); ++j)
      if (j != i) norm *= kPoints[i] - kPoints[j];
    for (int power = 0; power < taps; ++power)
      g.values.push_back(std::pow(kPoints[i], power) / norm);
  }
  g.values.resize(at(kTileSide * taps));
  g.values.back() = 1;
  return g;
}

Matrix outputs_matrix(std::int64_t results) {
  Matrix a{results, kTileSide, {}};
  for (int power = 0; power < results; ++power) {
    for (const double point : kPoints) a.values.push_back(std::pow(point, power));
    a.values.push_back(power == results - 1 ? 1 : 0);
  }
  return a;
}

// m x m^T
Square transformed(const Matrix& m, const Square& x) {
  Square y;
  for (std::int64_t i = 0; i < m.rows; ++i)
    for (std::int64_t j = 0; j < m.rows; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < m.columns; ++k)
        for (std::int64_t l = 0; l < m.columns; ++l)
          sum += m(i, k) * x[at(k * m.columns + l)] * m(j, l);
      y.push_back(sum);
    }
  return y;
}

// Of cells [36, count, stride], those of one place.
double error(const Square& expected, const float* cells, std::int64_t cell) {
  double worst = 0;
  for (std::int64_t k = 0; k < kTileCells; ++k)
    worst = std::max(worst, std::abs(expected[at(k)] - cells[k * cell]));
  return worst;
}

std::vector<Bfloat16Bits> rounded(const std::vector<float>& values) {
  std::vector<Bfloat16Bits> bits;
  for (const float value : values) bits.push_back(fakes::bits_of(value));
  return bits;
}

// Two samples of 5x7 with so many channels: two by two tiles each, none of which but the first is
// whole, as they are and doubled.
TileGrid grid_of(bool is_doubled, std::int64_t channels = 16) {
  return {channels, 5, 7, is_doubled};
}
constexpr std::int64_t kSamples = 2, kPixels = 5 * 7, kGridTiles = kSamples * 4;

const std::vector<TilePhase> kPhases{{}, {true, 0, 0}, {true, 0, 1}, {true, 1, 0}, {true, 1, 1}};

// The pixels under a tile, zero outside of the map.
template <class Element>
Square under(const TileGrid& grid, std::int64_t tile, const std::vector<Element>& x,
             std::int64_t channel) {
  Square pixels;
  for (std::int64_t k = 0; k < kTileCells; ++k) {
    const std::int64_t row = tile / 2 % 2 * grid.results - 1 + k / 6;
    const std::int64_t column = tile % 2 * grid.results - 1 + k % 6;
    const bool inside = row >= 0 && row < grid.height && column >= 0 && column < grid.width;
    const std::int64_t pixel = (tile / 4 * grid.height + row) * grid.width + column;
    pixels.push_back(inside ? widened(x[at(pixel * grid.channels + channel)]) : 0);
  }
  return pixels;
}

template <class Element>
double worst_input(const TileGrid& grid, const std::vector<Element>& x) {
  constexpr std::int64_t kFirst = 1, kCount = kGridTiles - kFirst, kStride = 24;
  constexpr std::int64_t kCell = kCount * kStride;
  const std::vector<Element> zeros(at(grid.channels), Element{});
  std::vector<float> v(kTileCells * kCell);
  transform_inputs(grid, x.data(), zeros.data(), {kFirst, kCount}, {v.data(), kStride, kCell});
  double worst = 0;
  for (std::int64_t t = 0; t < kCount; ++t)
    for (std::int64_t c = 0; c < grid.channels; ++c)
      worst = std::max(worst, error(transformed(inputs_matrix(), under(grid, kFirst + t, x, c)),
                                    &v[at(t * kStride + c)], kCell));
  return worst;
}

TEST_CASE("tiles of inputs are transformed, with zeros outside of their map") {
  for (const bool is_doubled : {false, true}) {
    const TileGrid grid = grid_of(is_doubled);
    const std::vector<float> x = numbers(kSamples * kPixels * grid.channels);
    CHECK(grid.rows == 2);
    CHECK(grid.columns == 2);
    CHECK(worst_input(grid, x) < 1e-5);
    CHECK(worst_input(grid, rounded(x)) < 1e-5);
  }
}

// Taps that see the same pixel of a doubled map, added up.
Square summed(const Square& taps, const TilePhase& phase) {
  if (!phase.is_doubled) return taps;
  Square sums(4);
  for (std::int64_t y = 0; y < 3; ++y)
    for (std::int64_t x = 0; x < 3; ++x)
      sums[at((y + 1 - phase.y) / 2 * 2 + (x + 1 - phase.x) / 2)] += taps[at(y * 3 + x)];
  return sums;
}

template <class Element>
double worst_filter(const std::vector<Element>& x, std::int64_t C, const TilePhase& phase) {
  constexpr std::int64_t kFirst = 8, kChannels = 16, kCell = kChannels * 16 + 16;
  std::vector<float> u(kTileCells * kCell);
  transform_filters(x.data() + kFirst * 9, C, kChannels, phase, {u.data(), 16, kCell});
  double worst = 0;
  for (std::int64_t c = 0; c < kChannels; ++c)
    for (std::int64_t n = 0; n < 16; ++n) {
      Square taps;
      for (std::int64_t k = 0; k < 9; ++k)
        taps.push_back(widened(x[at((n * C + kFirst + c) * 9 + k)]));
      const Matrix matrix = filters_matrix(phase.is_doubled ? 2 : 3);
      worst = std::max(worst,
                       error(transformed(matrix, summed(taps, phase)), &u[at(c * 16 + n)], kCell));
    }
  return worst;
}

TEST_CASE("filters are transformed from a channel on, sixteen side by side") {
  constexpr std::int64_t kMostChannels = 32;
  const std::vector<float> x = numbers(16 * kMostChannels * 9);
  for (const TilePhase& phase : kPhases) {
    CHECK(worst_filter(x, kMostChannels, phase) < 1e-5);
    CHECK(worst_filter(rounded(x), kMostChannels, phase) < 1e-5);
  }
}

// Sixteen filters of a map of 32 channels, of which the last half is theirs; the others are not to
// be written.
constexpr std::int64_t kMapChannels = 32, kFilter = 16;

// What becomes of the products at a pixel of the map: of one that is doubled, by halves.
double expected_at(const TileGrid& grid, const TilePhase& phase, const std::vector<float>& m,
                   std::int64_t pixel, std::int64_t channel) {
  const std::int64_t row = pixel / grid.width % grid.height + phase.y;
  const std::int64_t column = pixel % grid.width + phase.x, side = grid.results;
  const std::int64_t tile = pixel / kPixels * 4 + row / side * 2 + column / side;
  Square cells;
  for (std::int64_t k = 0; k < kTileCells; ++k)
    cells.push_back(m[at((k * kGridTiles + tile) * 16 + channel)]);
  return transformed(outputs_matrix(side), cells)[at(row % side * side + column % side)];
}

template <class Element>
double worst_output(const TilePhase& phase, Element untouched) {
  const TileGrid grid = grid_of(phase.is_doubled, kMapChannels);
  std::vector<float> m = numbers(kTileCells * kGridTiles * 16), bias = numbers(16);
  const std::int64_t times = phase.is_doubled ? 2 : 1;
  std::vector<Element> y(at(kSamples * kPixels * times * times * kMapChannels), untouched);
  transform_outputs(grid, phase, {m.data(), 16, kGridTiles * 16}, {0, kGridTiles}, 16, bias.data(),
                    y.data() + kFilter);
  double worst = 0;
  std::int64_t written = 0;
  for (std::int64_t pixel = 0; pixel < kSamples * kPixels; ++pixel) {
    const std::int64_t row = times * (pixel / grid.width) + phase.y;
    const std::int64_t place = row * times * grid.width + times * (pixel % grid.width) + phase.x;
    for (std::int64_t c = 0; c < 16; ++c) {
      const double expected = expected_at(grid, phase, m, pixel, c) + bias[at(c)];
      const double got = widened(y[at(place * kMapChannels + kFilter + c)]);
      worst = std::max(worst, std::abs(expected - got) / (1 + std::abs(expected)));
    }
  }
  for (const Element& element : y) written += element == untouched ? 0 : 1;
  CHECK(written == kSamples * kPixels * 16);
  return worst;
}

TEST_CASE(
    "products become what of their tiles lies in the map, with a bias, beside other filters") {
  for (const TilePhase& phase : kPhases) {
    CHECK(worst_output<float>(phase, 1000) < 1e-5);
    CHECK(worst_output<Bfloat16Bits>(phase, fakes::bits_of(1000)) < 5e-3);
  }
}

}  // namespace
}  // namespace emulsion::kernels

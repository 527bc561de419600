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
// call them: inputs B [6, 6], filters G [6, 3], outputs A [4, 6].
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

Matrix filters_matrix() {
  Matrix g{kTileSide, 3, {}};
  for (std::size_t i = 0; i < kPoints.size(); ++i) {
    double norm = 1;
    for (std::size_t j = 0; j < kPoints.size(); ++j)
      if (j != i) norm *= kPoints[i] - kPoints[j];
    for (int power = 0; power < 3; ++power) g.values.push_back(std::pow(kPoints[i], power) / norm);
  }
  g.values.insert(g.values.end(), {0, 0, 1});
  return g;
}

Matrix outputs_matrix() {
  Matrix a{kTileResults, kTileSide, {}};
  for (int power = 0; power < kTileResults; ++power) {
    for (const double point : kPoints) a.values.push_back(std::pow(point, power));
    a.values.push_back(power == kTileResults - 1 ? 1 : 0);
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

// Two samples of 5x7 with 16 channels: two by two tiles each, none of which but the first is whole.
const TileGrid kGrid(16, 5, 7);
constexpr std::int64_t kSamples = 2, kGridTiles = kSamples * 4;

// The pixels under a tile, zero outside of the map.
template <class Element>
Square under(std::int64_t tile, const std::vector<Element>& x, std::int64_t channel) {
  Square pixels;
  for (std::int64_t k = 0; k < kTileCells; ++k) {
    const std::int64_t row = tile / 2 % 2 * 4 - 1 + k / 6, column = tile % 2 * 4 - 1 + k % 6;
    const bool inside = row >= 0 && row < kGrid.height && column >= 0 && column < kGrid.width;
    const std::int64_t pixel = (tile / 4 * kGrid.height + row) * kGrid.width + column;
    pixels.push_back(inside ? widened(x[at(pixel * kGrid.channels + channel)]) : 0);
  }
  return pixels;
}

template <class Element>
double worst_input(const std::vector<Element>& x) {
  constexpr std::int64_t kFirst = 1, kCount = kGridTiles - kFirst, kStride = 24;
  constexpr std::int64_t kCell = kCount * kStride;
  const std::vector<Element> zeros(at(kGrid.channels), Element{});
  std::vector<float> v(kTileCells * kCell);
  transform_inputs(kGrid, x.data(), zeros.data(), {kFirst, kCount}, {v.data(), kStride, kCell});
  double worst = 0;
  for (std::int64_t t = 0; t < kCount; ++t)
    for (std::int64_t c = 0; c < kGrid.channels; ++c)
      worst = std::max(worst, error(transformed(inputs_matrix(), under(kFirst + t, x, c)),
                                    &v[at(t * kStride + c)], kCell));
  return worst;
}

TEST_CASE("tiles of inputs are transformed, with zeros outside of their map") {
  const std::vector<float> x = numbers(kSamples * kGrid.height * kGrid.width * kGrid.channels);
  CHECK(worst_input(x) < 1e-5);
  CHECK(worst_input(rounded(x)) < 1e-5);
}

template <class Element>
double worst_filter(const std::vector<Element>& x, std::int64_t C) {
  constexpr std::int64_t kFirst = 8, kChannels = 16, kCell = kChannels * 16 + 16;
  std::vector<float> u(kTileCells * kCell);
  transform_filters(x.data() + kFirst * 9, C, kChannels, {u.data(), 16, kCell});
  double worst = 0;
  for (std::int64_t c = 0; c < kChannels; ++c)
    for (std::int64_t n = 0; n < 16; ++n) {
      Square taps;
      for (std::int64_t k = 0; k < 9; ++k)
        taps.push_back(widened(x[at((n * C + kFirst + c) * 9 + k)]));
      worst =
          std::max(worst, error(transformed(filters_matrix(), taps), &u[at(c * 16 + n)], kCell));
    }
  return worst;
}

TEST_CASE("filters are transformed from a channel on, sixteen side by side") {
  constexpr std::int64_t kMostChannels = 32;
  const std::vector<float> x = numbers(16 * kMostChannels * 9);
  CHECK(worst_filter(x, kMostChannels) < 1e-5);
  CHECK(worst_filter(rounded(x), kMostChannels) < 1e-5);
}

// Sixteen filters of a map of 32 channels, of which the last half is theirs; the others are not to
// be written.
constexpr std::int64_t kMapChannels = 32, kFilter = 16;
const TileGrid kOut(kMapChannels, kGrid.height, kGrid.width);

template <class Element>
double worst_output(Element untouched) {
  constexpr std::int64_t kCell = kGridTiles * 16;
  std::vector<float> m = numbers(kTileCells * kCell), bias = numbers(16);
  const std::int64_t pixels = kSamples * kOut.height * kOut.width;
  std::vector<Element> y(at(pixels * kMapChannels), untouched);
  transform_outputs(kOut, {m.data(), 16, kCell}, {0, kGridTiles}, 16, bias.data(),
                    y.data() + kFilter);
  double worst = 0;
  for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
    const std::int64_t row = pixel / kOut.width % kOut.height, column = pixel % kOut.width;
    const std::int64_t sample = pixel / kOut.width / kOut.height;
    const std::int64_t tile = sample * 4 + row / 4 * 2 + column / 4;
    for (std::int64_t c = 0; c < 16; ++c) {
      Square cells;
      for (std::int64_t k = 0; k < kTileCells; ++k)
        cells.push_back(m[at(k * kCell + tile * 16 + c)]);
      const double expected = transformed(outputs_matrix(), cells)[at(row % 4 * 4 + column % 4)];
      const double got = widened(y[at(pixel * kMapChannels + kFilter + c)]);
      worst = std::max(worst, std::abs(expected + bias[at(c)] - got) / (1 + std::abs(expected)));
      CHECK(y[at(pixel * kMapChannels + c)] == untouched);
    }
  }
  return worst;
}

TEST_CASE(
    "products become what of their tiles lies in the map, with a bias, beside other filters") {
  CHECK(worst_output<float>(7) < 1e-5);
  CHECK(worst_output<Bfloat16Bits>(fakes::bits_of(7)) < 5e-3);
}

}  // namespace
}  // namespace emulsion::kernels

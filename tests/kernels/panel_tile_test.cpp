#include "kernels/panel_tile.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "check.h"
#include "kernels/panel_tile_amx.h"
#include "kernels/panel_tile_avx2.h"
#include "kernels/panel_tile_avx512.h"

namespace emulsion::kernels {
namespace {

float number(std::int64_t index) { return std::sin(static_cast<float>(index * index % 977)); }

std::vector<float> numbers(std::int64_t count) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(number(i));
  return values;
}

std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

using Multiply = void (*)(const PanelProduct& product);

void with_pairs(const PanelProduct& product) { multiply_avx512(product, Words::BfloatPairs); }
void with_floats(const PanelProduct& product) { multiply_avx512(product, Words::Floats); }

// The furthest that a product of so many rows and panels is from the definition.
double error(Multiply multiply, std::int64_t count, std::int64_t panels, bool adds) {
  constexpr std::int64_t kDepth = 37;
  const std::int64_t columns = panels * kPanelColumns;
  const std::vector<float> x = numbers(count * kDepth), w = numbers(panels * kDepth * 16);
  std::vector<float> y = numbers(count * columns);
  const std::vector<float> before = y;
  std::vector<const void*> rows;
  for (std::int64_t m = 0; m < count; ++m) rows.push_back(&x[at(m * kDepth)]);
  multiply({.rows = rows.data(),
            .count = count,
            .panel = w.data(),
            .panels = panels,
            .distance = kDepth * kPanelColumns,
            .depth = kDepth,
            .y = y.data(),
            .stride = columns,
            .adds = adds});
  double worst = 0;
  for (std::int64_t m = 0; m < count; ++m)
    for (std::int64_t n = 0; n < columns; ++n) {
      double sum = adds ? before[at(m * columns + n)] : 0;
      for (std::int64_t k = 0; k < kDepth; ++k)
        sum += static_cast<double>(x[at(m * kDepth + k)]) *
               w[at((n / kPanelColumns * kDepth + k) * kPanelColumns + n % kPanelColumns)];
      worst = std::max(worst, std::abs(sum - y[at(m * columns + n)]));
    }
  return worst;
}

double worst_error(Multiply multiply) {
  double worst = 0;
  for (const bool adds : {false, true})
    for (const std::int64_t count : {1, 4, 5, 8, 9, 12, 13, 25})
      for (const std::int64_t panels : {1, 2, 3})
        worst = std::max(worst, error(multiply, count, panels, adds));
  return worst;
}

TEST_CASE("with AVX2, rows times panels are the sums of their products") {
  if (!has_panel_tiles()) return;
  CHECK(worst_error(multiply_avx2) < 1e-5);
}

TEST_CASE("with AVX-512, rows times panels are the sums of their products") {
  if (!has_avx512(Words::Floats)) return;
  CHECK(worst_error(with_floats) < 1e-5);
}

TEST_CASE("pairs of bfloat16 are multiplied each with its own") {
  if (!has_avx512(Words::BfloatPairs)) return;
  // A row and a panel of two words: 1, 2, 3, 4 times 10, 20, 30, 40 in each column.
  std::vector<float> row = {1, 2, 3, 4}, panel(4 * kPanelColumns);
  for (std::int64_t word = 0; word < 2; ++word)
    for (std::int64_t n = 0; n < kPanelColumns; ++n)
      for (std::int64_t half = 0; half < 2; ++half)
        panel[at(word * 2 * kPanelColumns + n * 2 + half)] =
            static_cast<float>(10 * (2 * word + half + 1));
  row.resize(16);
  pair_up(row.data(), 16);
  for (std::int64_t first : {0, 16, 32, 48}) pair_up(panel.data() + first, 16);
  std::copy_n(panel.data() + 16, 8, panel.data() + 8);  // each sixteen became eight words
  std::copy_n(panel.data() + 32, 8, panel.data() + 16);
  std::copy_n(panel.data() + 48, 8, panel.data() + 24);
  std::vector<float> y(kPanelColumns);
  const void* rows[] = {row.data()};
  with_pairs({.rows = rows,
              .count = 1,
              .panel = panel.data(),
              .panels = 1,
              .distance = 2 * kPanelColumns,
              .depth = 2,
              .y = y.data(),
              .stride = kPanelColumns});
  for (const float sum : y) CHECK(sum == 10 + 40 + 90 + 160);
}

// The furthest that tile registers are from what vector registers give.
double distance_of_amx(std::int64_t count, std::int64_t panels, std::int64_t depth, bool adds) {
  const std::int64_t columns = panels * kPanelColumns;
  std::vector<float> x = numbers(count * depth * 2), w = numbers(panels * depth * 32);
  for (std::vector<float>* const values : {&x, &w}) {
    values->resize((values->size() + 15) / 16 * 16);
    for (std::size_t i = 0; i < values->size(); i += 16) {
      pair_up(values->data() + i, 16);
      std::copy_n(values->data() + i, 8, values->data() + i / 2);
    }
  }
  std::vector<const void*> rows;
  for (std::int64_t m = 0; m < count; ++m) rows.push_back(&x[at(m * depth)]);
  std::vector<float> y = numbers(count * columns), wanted = y;
  PanelProduct product{.rows = rows.data(),
                       .count = count,
                       .panel = w.data(),
                       .panels = panels,
                       .distance = depth * kPanelColumns,
                       .depth = depth,
                       .y = wanted.data(),
                       .stride = columns,
                       .adds = adds};
  with_pairs(product);
  product.y = y.data();
  multiply_amx(product);
  double worst = 0;
  for (std::size_t i = 0; i < y.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(y[i]) - wanted[i]));
  return worst;
}

TEST_CASE("tile registers give the same sums of pairs") {
  if (!has_amx()) return;
  for (const bool adds : {false, true})
    for (const std::int64_t count : {1, 15, 16, 17, 32, 48, 61})
      for (const std::int64_t panels : {1, 2, 3})
        for (const std::int64_t depth : {1, 8, 16, 20, 48})
          CHECK(distance_of_amx(count, panels, depth, adds) < 1e-4);
}

TEST_CASE("tile registers take only rows that lie evenly apart") {
  if (!has_amx()) return;
  const std::vector<float> x(64);
  const void *even[] = {&x[0], &x[16], &x[32]}, *uneven[] = {&x[0], &x[16], &x[48]};
  PanelProduct product{};
  product.count = 3;
  product.rows = even;
  CHECK(suits_amx(product));
  product.rows = uneven;
  CHECK_FALSE(suits_amx(product));
}

}  // namespace
}  // namespace emulsion::kernels

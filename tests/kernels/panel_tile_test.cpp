#include "kernels/panel_tile.h"

#include <algorithm>
#include <vector>

#include "check.h"
#include "fakes/numbers.h"
#include "kernels/panel_tile_avx2.h"
#include "kernels/panel_tile_avx512.h"

namespace emulsion::kernels {
namespace {

using fakes::at, fakes::numbers;

using Multiply = void (*)(const PanelProduct& product);

void with_pairs(const PanelProduct& product) { multiply_avx512(product, Words::BfloatPairs); }
void with_floats(const PanelProduct& product) { multiply_avx512(product, Words::Floats); }

// The furthest that a product of so many rows and panels is from the definition.
double error(Multiply multiply, std::int64_t count, std::int64_t panels, bool adds, bool has_bias) {
  constexpr std::int64_t kDepth = 37;
  const std::int64_t columns = panels * kPanelColumns;
  const std::vector<float> x = numbers(count * kDepth), w = numbers(panels * kDepth * 16);
  const std::vector<float> bias = numbers(columns);
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
            .adds = adds,
            .bias = has_bias ? bias.data() : nullptr});
  double worst = 0;
  for (std::int64_t m = 0; m < count; ++m)
    for (std::int64_t n = 0; n < columns; ++n) {
      double sum = adds ? before[at(m * columns + n)] : has_bias ? bias[at(n)] : 0;
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
    for (const bool has_bias : {false, true})
      for (const std::int64_t count : {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 25})
        for (const std::int64_t panels : {1, 2, 3, 4, 5, 7, 8})
          worst = std::max(worst, error(multiply, count, panels, adds, has_bias));
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

TEST_CASE("only an even number of bfloat16 is multiplied in pairs") {
  CHECK(words_of(c10::ScalarType::Float, 64) == Words::Floats);
  CHECK(words_of(c10::ScalarType::BFloat16, 65) == Words::Floats);
  CHECK(in_words(words_of(c10::ScalarType::BFloat16, 64), 64) ==
        (words_of(c10::ScalarType::BFloat16, 64) == Words::Floats ? 64 : 32));
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

}  // namespace
}  // namespace emulsion::kernels

#include "kernels/panel_pack.h"

#include <vector>
#include "check.h"

#include "fakes/bfloat16.h"
#include "fakes/numbers.h"
#include "kernels/panel_tile.h"
#include "kernels/panel_tile_avx512.h"

namespace emulsion::kernels {
namespace {

using fakes::at;

template <class Element>
std::vector<Element> matrix(std::int64_t count) {
  std::vector<Element> rows(at(count));
  const std::vector<float> values = fakes::numbers(count);
  for (std::size_t i = 0; i < rows.size(); ++i) narrow(values[i], rows[i]);
  return rows;
}

// How many numbers of a panel are not those of their row and column; there are zeros beside them.
// number_at(k, n) tells what the panel has.
template <class Element, class NumberAt>
std::int64_t misplaced(const std::vector<Element>& rows, const PanelRange& range,
                       const NumberAt& number_at) {
  std::int64_t count = 0;
  for (std::int64_t k = 0; k < range.depth; ++k)
    for (std::int64_t n = 0; n < kPanelColumns; ++n) {
      const std::int64_t outer = range.depth / range.interleaved,
                         place = k % range.interleaved * outer + k / range.interleaved;
      const float wanted = n < range.columns ? widened(rows[at(n * range.stride + k)]) : 0;
      if (number_at(place, n) != wanted) ++count;
    }
  return count;
}

template <class Element>
std::int64_t misplaced_floats(const PanelRange& range) {
  const std::vector<Element> rows = matrix<Element>(range.columns * range.stride);
  std::vector<float> panel(at(range.depth * kPanelColumns), 7);
  pack_panel(rows.data(), range, panel.data());
  return misplaced(rows, range, [&](std::int64_t k, std::int64_t n) {
    return panel[at(k * kPanelColumns + n)];
  });
}

std::int64_t misplaced_pairs(const PanelRange& range) {
  const auto rows = matrix<Bfloat16Bits>(range.columns * range.stride);
  std::vector<float> panel(at(range.depth / 2 * kPanelColumns), 7);
  pack_pairs(rows.data(), range, panel.data());
  return misplaced(rows, range, [&](std::int64_t k, std::int64_t n) {
    const auto word = std::bit_cast<std::uint32_t>(panel[at(k / 2 * kPanelColumns + n)]);
    return std::bit_cast<float>(k % 2 == 0 ? word << 16 : word & 0xFFFF0000U);
  });
}

std::int64_t misplaced(const PanelRange& range) {
  const bool has_pairs = has_avx512(Words::Floats) && range.depth / range.interleaved % 2 == 0;
  return misplaced_floats<float>(range) + misplaced_floats<Bfloat16Bits>(range) +
         (has_pairs ? misplaced_pairs(range) : 0);
}

std::int64_t misplaced(std::int64_t columns, std::int64_t depth, std::int64_t interleaved = 1) {
  return misplaced({columns, depth, depth, interleaved});
}

TEST_CASE("sixteen rows become columns that lie side by side") {
  if (!has_panel_tiles()) return;
  CHECK(misplaced(16, 64) == 0);
}

TEST_CASE("depths that vectors do not divide are packed to their end") {
  if (!has_panel_tiles()) return;
  for (const std::int64_t depth : {1, 6, 7, 17, 45, 100}) CHECK(misplaced(16, depth) == 0);
}

TEST_CASE("rows that are missing are zeros") {
  if (!has_panel_tiles()) return;
  for (const std::int64_t columns : {1, 5, 8, 11}) CHECK(misplaced(columns, 40) == 0);
}

TEST_CASE("taps that lie in each other come apart") {
  if (!has_panel_tiles()) return;
  CHECK(misplaced(16, 9 * 20, 9) == 0);
  CHECK(misplaced(3, 9 * 7, 9) == 0);
  CHECK(misplaced(3, 9 * 8, 9) == 0);
}

TEST_CASE("a part of longer rows is packed") {
  if (!has_panel_tiles()) return;
  CHECK(misplaced({.columns = 16, .depth = 72, .stride = 200}) == 0);
  CHECK(misplaced({.columns = 9, .depth = 20, .stride = 31}) == 0);
}

}  // namespace
}  // namespace emulsion::kernels

#include "kernels/panel_pack.h"

#include <vector>
#include "check.h"

#include "fakes/bfloat16.h"
#include "fakes/numbers.h"
#include "kernels/panel_tile.h"

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
template <class Element>
std::int64_t misplaced(std::int64_t columns, std::int64_t depth, std::int64_t interleaved) {
  const std::vector<Element> rows = matrix<Element>(columns * depth);
  std::vector<float> panel(at(depth * kPanelColumns), 7);
  pack_panel(rows.data(), columns, depth, interleaved, panel.data());
  std::int64_t count = 0;
  for (std::int64_t k = 0; k < depth; ++k)
    for (std::int64_t n = 0; n < kPanelColumns; ++n) {
      const std::int64_t place = k % interleaved * (depth / interleaved) + k / interleaved;
      const float wanted = n < columns ? widened(rows[at(n * depth + k)]) : 0;
      if (panel[at(place * kPanelColumns + n)] != wanted) ++count;
    }
  return count;
}

std::int64_t misplaced(std::int64_t columns, std::int64_t depth, std::int64_t interleaved = 1) {
  return misplaced<float>(columns, depth, interleaved) +
         misplaced<Bfloat16Bits>(columns, depth, interleaved);
}

TEST_CASE("sixteen rows become columns that lie side by side") {
  if (!has_panel_tiles()) return;
  CHECK(misplaced(16, 64) == 0);
}

TEST_CASE("depths that vectors do not divide are packed to their end") {
  if (!has_panel_tiles()) return;
  for (const std::int64_t depth : {1, 7, 17, 45, 100}) CHECK(misplaced(16, depth) == 0);
}

TEST_CASE("rows that are missing are zeros") {
  if (!has_panel_tiles()) return;
  for (const std::int64_t columns : {1, 5, 8, 11}) CHECK(misplaced(columns, 40) == 0);
}

TEST_CASE("taps that lie in each other come apart") {
  if (!has_panel_tiles()) return;
  CHECK(misplaced(16, 9 * 20, 9) == 0);
  CHECK(misplaced(3, 9 * 7, 9) == 0);
}

}  // namespace
}  // namespace emulsion::kernels

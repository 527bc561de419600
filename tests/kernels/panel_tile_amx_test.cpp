#include "kernels/panel_tile_amx.h"

#include <algorithm>
#include <vector>

#include "check.h"
#include "fakes/numbers.h"
#include "kernels/panel_tile_avx512.h"

namespace emulsion::kernels {
namespace {

using fakes::at, fakes::numbers;

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
  multiply_avx512({.rows = rows.data(),
                   .count = count,
                   .panel = w.data(),
                   .panels = panels,
                   .distance = depth * kPanelColumns,
                   .depth = depth,
                   .y = wanted.data(),
                   .stride = columns,
                   .adds = adds},
                  Words::BfloatPairs);
  constexpr std::int64_t kWhole[] = {0};
  multiply_amx({.rows = reinterpret_cast<const char*>(x.data()),
                .stride = depth * 4,
                .segments = kWhole,
                .depth = depth,
                .count = count,
                .panel = w.data(),
                .panels = panels,
                .distance = depth * kPanelColumns,
                .y = y.data(),
                .y_stride = columns,
                .adds = adds});
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

}  // namespace
}  // namespace emulsion::kernels

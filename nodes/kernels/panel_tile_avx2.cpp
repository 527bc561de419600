#include "kernels/panel_tile_avx2.h"

#include <algorithm>

#include "kernels/vector_lanes.h"

namespace emulsion::kernels {
namespace {

// With sixteen columns, as many as sixteen registers hold beside what is multiplied.
constexpr std::int64_t kRows = 6;

struct Sums {
  Lanes at[kRows][2];
};

// sums += rows [6][depth] times a panel [depth, 16]
EMULSION_AVX2 EMULSION_INLINED void add_products(Sums& sums, const float* const* rows,
                                                 const float* panel, std::int64_t depth) {
  for (std::int64_t k = 0; k < depth; ++k) {
    const Lanes left = lanes_at(panel + k * kPanelColumns);
    const Lanes right = lanes_at(panel + k * kPanelColumns + kLanes);
    for (std::int64_t r = 0; r < kRows; ++r) {
      const float x = rows[r][k];
      sums.at[r][0] += x * left;
      sums.at[r][1] += x * right;
    }
  }
}

// The rows of so many sums at y; for others the last of them.
EMULSION_AVX2 EMULSION_INLINED void load(Sums& sums, const float* y, std::int64_t stride,
                                         std::int64_t rows) {
  for (std::int64_t r = 0; r < kRows; ++r) {
    const float* from = y + std::min(r, rows - 1) * stride;
    sums.at[r][0] = lanes_at(from);
    sums.at[r][1] = lanes_at(from + kLanes);
  }
}

EMULSION_AVX2 EMULSION_INLINED void store(const Sums& sums, float* y, std::int64_t stride,
                                          std::int64_t rows) {
  for (std::int64_t r = 0; r < rows; ++r) {
    lanes_at(y + r * stride) = sums.at[r][0];
    lanes_at(y + r * stride + kLanes) = sums.at[r][1];
  }
}

}  // namespace

EMULSION_AVX2 void multiply_avx2(const PanelProduct& product) {
  for (std::int64_t p = 0; p < product.panels; ++p)
    for (std::int64_t m = 0; m < product.count; m += kRows) {
      const std::int64_t valid = std::min(kRows, product.count - m);
      const float* rows[kRows];
      for (std::int64_t r = 0; r < kRows; ++r)
        rows[r] = static_cast<const float*>(product.rows[m + std::min(r, valid - 1)]);
      float* y = product.y + m * product.stride + p * kPanelColumns;
      Sums sums{};
      if (product.adds)
        load(sums, y, product.stride, valid);
      else if (product.bias != nullptr)
        load(sums, product.bias + p * kPanelColumns, 0, valid);
      add_products(sums, rows, product.panel + p * product.distance, product.depth);
      store(sums, y, product.stride, valid);
    }
}

}  // namespace emulsion::kernels

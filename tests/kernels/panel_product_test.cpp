#include "kernels/panel_product.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "fakes/reference.h"
#include "kernels/panel_tile.h"
#include "kernels/unpack.h"

namespace emulsion::kernels {
namespace {

// Rows whose left part lies in one matrix, and whose right part in another.
struct TwoParts final : PanelRows {
  at::Tensor left, right;

  TwoParts(const at::Tensor& first, const at::Tensor& second) : left(first), right(second) {
    count = left.size(0);
    segments = 2;
  }
  Segment segment(std::int64_t index) const override {
    return index == 0 ? Segment{0, left.size(1)} : Segment{left.size(1), right.size(1)};
  }
  void fetch(std::int64_t index, std::int64_t first, std::int64_t rows,
             const void** places) const override {
    const at::Tensor& part = index == 0 ? left : right;
    for (std::int64_t m = 0; m < rows; ++m)
      places[m] = part.const_data_ptr<float>() + (first + m) * part.size(1);
  }
};

TEST_CASE("segments of rows that lie apart are multiplied as one depth") {
  if (!has_panel_tiles()) return;
  const c10::InferenceMode inference;
  const TwoParts rows(at::randn({200, 24}), at::randn({200, 40}));
  const at::Tensor weight = at::randn({50, 64}), bias = at::randn({50}), y = at::empty({200, 50});
  multiply_panels(rows, {plain_weight(weight), bias}, y);
  const at::Tensor whole = at::cat({rows.left, rows.right}, 1).to(at::kDouble);
  CHECK(fakes::distance(y, at::linear(whole, weight.to(at::kDouble), bias.to(at::kDouble))) < 1e-4);
}

TEST_CASE("as many panels are packed as a cache holds, one or an even number") {
  CHECK(packed_panels(10240, 320) == 16);
  CHECK(packed_panels(10240, 640) == 8);
  CHECK(packed_panels(10240, 1280) == 4);
  CHECK(packed_panels(10240, 5120) == 4);
  CHECK(packed_panels(10240, 6000) == 2);
  CHECK(packed_panels(10240, 23040) == 1);
  CHECK(packed_panels(40, 320) == 3);
}

TEST_CASE("what is packed at a time does not grow with the columns, or beyond a depth") {
  CHECK(panel_scratch(10240, 1280, 2) == panel_scratch(1280, 1280, 2));
  CHECK(panel_scratch(1280, 1280, 4) == 2 * panel_scratch(1280, 1280, 2));
  CHECK(panel_scratch(1280, 23040, 1) < 16 * 23040 + 16 * 128);
}

}  // namespace
}  // namespace emulsion::kernels

#include "emulsion/packing.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include "check.h"

#include <cmath>
#include <limits>

namespace emulsion {
namespace {

constexpr Packing kBlocks[] = {Packing::Q8_0, Packing::Q4_0, Packing::Q4_1, Packing::Q5_0,
                               Packing::Q5_1};

TEST_CASE("packed bytes are counted by rows") {
  const TensorSpec spec{{6, 64, 3, 3}, at::kBFloat16};
  CHECK(packed_spec(Packing::None, spec) == spec);
  CHECK(packed_spec(Packing::Int8, spec) == TensorSpec{{6, 4 + 576}, at::kByte});
  CHECK(packed_spec(Packing::Q8_0, spec) == TensorSpec{{6, 18 * 34}, at::kByte});
  CHECK(packed_spec(Packing::Q4_0, spec) == TensorSpec{{6, 18 * 18}, at::kByte});
  CHECK(packed_spec(Packing::Q4_1, spec) == TensorSpec{{6, 18 * 20}, at::kByte});
  CHECK(packed_spec(Packing::Q5_0, spec) == TensorSpec{{6, 18 * 22}, at::kByte});
  CHECK(packed_spec(Packing::Q5_1, spec) == TensorSpec{{6, 18 * 24}, at::kByte});
}

TEST_CASE("blocks need rows of whole blocks, and int8 a row") {
  CHECK(is_packable(Packing::Int8, {{4, 5}, at::kFloat}));
  CHECK(!is_packable(Packing::Int8, {{4}, at::kFloat}));
  CHECK(!is_packable(Packing::None, {{4, 64}, at::kFloat}));
  for (const Packing packing : kBlocks) {
    CHECK(is_packable(packing, {{4, 64}, at::kFloat}));
    CHECK(is_packable(packing, {{4, 32, 3, 3}, at::kFloat}));
    CHECK(!is_packable(packing, {{32, 4, 3, 3}, at::kFloat}));
  }
}

TEST_CASE("an int8 row is at most half a step of its own scale off") {
  const at::Tensor rows =
      at::randn({5, 37}).mul_(at::tensor({1., 10., 1e-3, 1e4, 0.}).unsqueeze(1));
  const at::Tensor bytes = packed_int8(rows);
  CHECK(bytes.sizes() == c10::IntArrayRef(packed_spec(Packing::Int8, {{5, 37}, at::kFloat}).shape));
  const at::Tensor steps = rows.abs().amax(1, true) / 127.0;
  const at::Tensor error = (unpacked(bytes, Packing::Int8) - rows).abs();
  CHECK(error.le(steps * 0.5001).all().item<bool>());
  CHECK(packed_scales(bytes, Packing::Int8).allclose(steps));
}

TEST_CASE("a row with what is no finite number stays one") {
  for (const double fault :
       {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    at::Tensor rows = at::randn({2, 8});
    rows.select(0, 1).select(0, 3).fill_(fault);
    const at::Tensor scales = packed_scales(packed_int8(rows), Packing::Int8).view(-1);
    CHECK(std::isfinite(scales[0].item<float>()));
    CHECK(std::isnan(scales[1].item<float>()));
  }
}

}  // namespace
}  // namespace emulsion

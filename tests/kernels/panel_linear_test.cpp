#include "kernels/panel_linear.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "fakes/packed.h"
#include "fakes/reference.h"
#include "kernels/panel_tile.h"
#include "kernels/unpack.h"

namespace emulsion::kernels {
namespace {

at::Tensor wide(const at::Tensor& tensor) { return tensor.to(at::kDouble); }

// Distance from the product in float64 of the same numbers, in parts of the largest result.
double error(std::int64_t rows, std::int64_t in, std::int64_t out, c10::ScalarType dtype) {
  const double spread = 1 / std::sqrt(static_cast<double>(in));
  const at::Tensor x = at::randn({rows, in}).to(dtype);
  const at::Tensor weight = at::randn({out, in}).mul_(spread).to(dtype);
  const at::Tensor bias = at::randn({out}).to(dtype);
  const at::Tensor wanted = at::linear(wide(x), wide(weight), wide(bias));
  return fakes::distance(panel_linear(x, plain_weight(weight), bias), wanted) /
         wanted.abs().max().item<double>();
}

constexpr double kFloat = 2e-5, kBfloat16 = 1.0 / 256;  // the latter rounds the result alone

TEST_CASE("a product by panels gives what the definition gives") {
  if (!has_panel_tiles()) return;
  const c10::InferenceMode inference;
  CHECK(error(300, 320, 320, at::kFloat) < kFloat);
  CHECK(error(300, 320, 320, at::kBFloat16) < kBfloat16);
}

TEST_CASE("rows, columns and depths that panels do not divide are all there") {
  if (!has_panel_tiles()) return;
  const c10::InferenceMode inference;
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    for (const std::int64_t rows : {5, 257, 301})
      for (const std::int64_t out : {1, 16, 35})
        for (const std::int64_t in : {1, 7, 40})
          CHECK(error(rows, in, out, dtype) < (dtype == at::kFloat ? kFloat : kBfloat16));
}

TEST_CASE("a depth of several segments, and columns of several blocks, are summed up") {
  if (!has_panel_tiles()) return;
  const c10::InferenceMode inference;
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    CHECK(error(270, 2816, 1000, dtype) < (dtype == at::kFloat ? kFloat : kBfloat16));
}

TEST_CASE("more rows than are kept at a time are all multiplied") {
  if (!has_panel_tiles()) return;
  const c10::InferenceMode inference;
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    CHECK(error(1100, 2816, 20, dtype) < (dtype == at::kFloat ? kFloat : kBfloat16));
}

TEST_CASE("of rows in bfloat16 no more are widened at a time than are kept") {
  // A depth that makes no pairs.
  const auto widened = [](std::int64_t rows) {
    return panel_linear_scratch(at::kBFloat16, {rows, 1281, 64}, 2) -
           panel_linear_scratch(at::kFloat, {rows, 1281, 64}, 2);
  };
  CHECK(widened(300) == 300 * 1281);
  CHECK(widened(100000) == widened(2000));
}

TEST_CASE("rows of pairs are multiplied as they are, with panels of half as many words") {
  if (words_of(at::kBFloat16, 1280) != Words::BfloatPairs) return;
  CHECK(panel_linear_scratch(at::kBFloat16, {100000, 1280, 64}, 2) ==
        panel_linear_scratch(at::kFloat, {1000, 640, 64}, 2));
}

TEST_CASE("a product keeps the leading dimensions, with and without a bias") {
  if (!has_panel_tiles()) return;
  const c10::InferenceMode inference;
  const at::Tensor x = at::randn({2, 3, 24}), weight = at::randn({32, 24});
  const at::Tensor y = panel_linear(x.transpose(0, 1), plain_weight(weight), at::Tensor());
  CHECK(y.sizes() == at::IntArrayRef({3, 2, 32}));
  CHECK(fakes::distance(y, at::linear(wide(x.transpose(0, 1)), wide(weight))) < 1e-4);
}

TEST_CASE("a product is added to what is there, before anything is rounded") {
  if (!has_panel_tiles()) return;
  const c10::InferenceMode inference;
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    for (const std::int64_t out : {64, 35}) {
      const at::Tensor x = at::randn({2, 150, 96}).to(dtype), bias = at::randn({out}).to(dtype),
                       weight = at::randn({out, 96}).div_(10).to(dtype);
      at::Tensor y = at::randn({2, 150, out}).to(dtype);
      const at::Tensor wanted = wide(y) + at::linear(wide(x), wide(weight), wide(bias));
      panel_add_linear_(y, x, plain_weight(weight), bias);
      CHECK(fakes::distance(y, wanted) / wanted.abs().max().item<double>() <
            (dtype == at::kFloat ? kFloat : kBfloat16));
    }
}

TEST_CASE("values are gated within their product") {
  if (!panels_gate(at::kFloat, 64, 48)) return;
  const c10::InferenceMode inference;
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    for (const std::int64_t in : {20, 640, 5000})
      for (const std::int64_t D : {16, 48, 352}) {
        const double spread = 1 / std::sqrt(static_cast<double>(in));
        const at::Tensor x = at::randn({3, 100, in}).to(dtype),
                         weight = at::randn({2 * D, in}).mul_(spread).to(dtype),
                         bias = at::randn({2 * D}).to(dtype);
        const std::vector<at::Tensor> halves =
            at::linear(wide(x), wide(weight), wide(bias)).chunk(2, -1);
        const at::Tensor wanted = halves[0] * at::gelu(halves[1]);
        const at::Tensor y = panel_gated_linear(x, plain_weight(weight), bias);
        CHECK(y.sizes() == at::IntArrayRef({3, 100, D}));
        CHECK(fakes::distance(y, wanted) / wanted.abs().max().item<double>() <
              (dtype == at::kFloat ? kFloat : kBfloat16));
      }
}

TEST_CASE("packed weights are unpacked on the way, as they are before a product") {
  if (!has_panel_tiles()) return;
  const c10::InferenceMode inference;
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    for (const Packing packing : fakes::kPackings)
      for (const std::int64_t in : {32, 96, 1312}) {
        CAPTURE(to_text(packing));
        CAPTURE(in);
        const Weight weight = fakes::random_packed({96, in}, packing, dtype);
        const Weight numbers = plain_weight(unpacked_rows(weight, 0, 96, dtype));
        const at::Tensor x = at::randn({300, in}).to(dtype), bias = at::randn({96}).to(dtype);
        CHECK(fakes::distance(panel_linear(x, weight, bias), panel_linear(x, numbers, bias)) == 0);
        CHECK(fakes::distance(panel_gated_linear(x, weight, bias),
                              panel_gated_linear(x, numbers, bias)) == 0);
      }
}

TEST_CASE("to unpack takes as much for each thread, whatever the weight") {
  const auto unpacking = [](std::int64_t in, std::int64_t out, std::int64_t threads) {
    return panel_linear_scratch(at::kFloat, {300, in, out, true}, threads) -
           panel_linear_scratch(at::kFloat, {300, in, out}, threads);
  };
  CHECK(unpacking(320, 320, 1) > 0);
  CHECK(unpacking(320, 320, 1) == unpacking(5120, 1280, 1));
  CHECK(unpacking(320, 320, 4) == 4 * unpacking(320, 320, 1));
}

TEST_CASE("columns that panels do not divide, or of which not two are packed, are not gated so") {
  CHECK_FALSE(panels_gate(at::kFloat, 20000, 48));
  CHECK_FALSE(panels_gate(at::kFloat, 64, 40));
  CHECK_FALSE(panels_gate(at::kHalf, 64, 48));
}

}  // namespace
}  // namespace emulsion::kernels

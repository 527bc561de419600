#include "kernels/gated.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "fakes/reference.h"
#include "kernels/unpack.h"

namespace emulsion::kernels {
namespace {

at::Tensor wanted(const at::Tensor& y) {
  const auto halves = y.to(at::kDouble).chunk(2, -1);
  return halves[0].mul(at::gelu(halves[1]));
}

TEST_CASE("values are multiplied with the gelu of their gates") {
  const c10::InferenceMode inference;
  for (const std::int64_t width : {16, 80, 5}) {
    const at::Tensor y = at::randn({3, 7, 2 * width}).mul_(3);
    CHECK(gated(y).sizes() == at::IntArrayRef({3, 7, width}));
    CHECK(fakes::distance(gated(y), wanted(y)) < 5e-6);
    const at::Tensor narrow = y.to(at::kBFloat16);
    CHECK(fakes::distance(gated(narrow), wanted(narrow)) < 0.2);  // of results up to 60
  }
}

TEST_CASE("gates far out are open or shut") {
  const c10::InferenceMode inference;
  const at::Tensor gates = at::linspace(-40, 40, 320).view({1, 320});
  const at::Tensor y = at::cat({at::ones({1, 320}), gates}, 1);
  CHECK(fakes::distance(gated(y), wanted(y)) < 5e-6);
}

TEST_CASE("a product's gates are those of its result") {
  const c10::InferenceMode inference;
  const at::Tensor x = at::randn({40, 32}), weight = at::randn({128, 32}).mul_(0.2),
                   bias = at::randn({128});
  const auto exact = [&](c10::ScalarType dtype) {
    const auto number = [&](const at::Tensor& t) { return t.to(dtype).to(at::kDouble); };
    return wanted(at::linear(number(x), number(weight), number(bias)));
  };
  CHECK(fakes::distance(gated_linear(x, plain_weight(weight), bias), exact(at::kFloat)) < 1e-5);
  const auto half = [](const at::Tensor& t) { return t.to(at::kBFloat16); };
  CHECK(fakes::distance(gated_linear(half(x), plain_weight(half(weight)), half(bias)),
                        exact(at::kBFloat16)) < 0.15);
}

}  // namespace
}  // namespace emulsion::kernels

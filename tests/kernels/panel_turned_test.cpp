#include "kernels/panel_turned.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "fakes/reference.h"
#include "kernels/unpack.h"

namespace emulsion::kernels {
namespace {

at::Tensor wide(const at::Tensor& tensor) { return tensor.to(at::kDouble); }

struct Layer {
  at::Tensor x, weight, bias;

  Layer(std::int64_t rows, std::int64_t in, std::int64_t out, c10::ScalarType dtype)
      : x(at::randn({rows, in}).to(dtype)),
        weight(at::randn({out, in}).mul_(1 / std::sqrt(static_cast<double>(in))).to(dtype)),
        bias(at::randn({out}).to(dtype)) {}

  at::Tensor wanted() const { return at::linear(wide(x), wide(weight), wide(bias)); }
};

// Distance in parts of the largest result, or of the spread.
double error(const at::Tensor& y, const at::Tensor& wanted) {
  return fakes::distance(y, wanted) / std::max(1.0, wanted.abs().max().item<double>());
}

double tolerance(c10::ScalarType dtype) { return dtype == at::kFloat ? 2e-5 : 1.0 / 256; }

// The types that are multiplied so on this processor.
std::vector<c10::ScalarType> dtypes() {
  std::vector<c10::ScalarType> turned;
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    if (has_panel_tiles() && panels_turn(dtype, 77, 64)) turned.push_back(dtype);
  return turned;
}

TEST_CASE("a product the other way round is what the definition gives") {
  const c10::InferenceMode inference;
  for (const auto dtype : dtypes())
    for (const std::int64_t rows : {1, 16, 77, 256})
      for (const std::int64_t out : {1, 48, 200}) {
        const Layer layer(rows, 72, out, dtype);
        const at::Tensor y = at::empty({rows, out}, layer.x.options());
        multiply_turned(layer.x, {plain_weight(layer.weight), layer.bias}, y);
        CHECK(error(y, layer.wanted()) < tolerance(dtype));
      }
}

TEST_CASE("a depth of several segments is summed up, also without a bias") {
  const c10::InferenceMode inference;
  for (const auto dtype : dtypes()) {
    const Layer layer(20, 2900, 100, dtype);
    const at::Tensor y = at::empty({20, 100}, layer.x.options());
    multiply_turned(layer.x, {plain_weight(layer.weight), at::Tensor()}, y);
    CHECK(error(y, layer.wanted() - wide(layer.bias)) < tolerance(dtype));
  }
}

TEST_CASE("a product the other way round is added before anything is rounded") {
  const c10::InferenceMode inference;
  for (const auto dtype : dtypes()) {
    const Layer layer(50, 96, 120, dtype);
    const at::Tensor y = at::randn({50, 120}).to(dtype), wanted = layer.wanted() + wide(y);
    multiply_turned(layer.x, {plain_weight(layer.weight), layer.bias}, y, true);
    CHECK(error(y, wanted) < tolerance(dtype));
  }
}

TEST_CASE("values are gated in a product the other way round") {
  const c10::InferenceMode inference;
  for (const auto dtype : dtypes())
    for (const std::int64_t D : {16, 48, 80}) {
      const Layer layer(33, 64, 2 * D, dtype);
      const std::vector<at::Tensor> halves = layer.wanted().chunk(2, -1);
      const at::Tensor y = at::empty({33, D}, layer.x.options());
      multiply_turned(
          layer.x, {.matrix = plain_weight(layer.weight), .bias = layer.bias, .is_gated = true}, y);
      CHECK(error(y, halves[0] * at::gelu(halves[1])) < tolerance(dtype));
    }
}

TEST_CASE("many rows, and numbers that are widened, are not turned round") {
  CHECK(panels_turn(at::kFloat, 154, 1023));
  CHECK_FALSE(panels_turn(at::kFloat, 1024, 1024));
  CHECK_FALSE(panels_turn(at::kBFloat16, 77, 1023));
}

}  // namespace
}  // namespace emulsion::kernels

#include "kernels/row_linear.h"

#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "fakes/reference.h"

namespace emulsion::kernels {
namespace {

// Distance from the product in float64 of the same numbers, in parts of the largest result, or of
// the spread.
double error(const at::Tensor& x, std::int64_t out, const at::Tensor& bias) {
  const auto wide = [](const at::Tensor& t) { return t.defined() ? t.to(at::kDouble) : t; };
  const double spread = 1 / std::sqrt(static_cast<double>(x.size(-1)));
  const at::Tensor weight = at::randn({out, x.size(-1)}).mul_(spread).to(x.scalar_type());
  const at::Tensor wanted = at::linear(wide(x), wide(weight), wide(bias));
  const at::Tensor y = row_linear(x, weight, bias);
  CHECK(y.sizes() == wanted.sizes());
  CHECK((y.scalar_type() == x.scalar_type()));
  return fakes::distance(y, wanted) / std::max(1.0, wanted.abs().max().item<double>());
}

double tolerance(c10::ScalarType dtype) { return dtype == at::kFloat ? 2e-6 : 1.0 / 256; }

TEST_CASE("few rows times a weight are what the definition gives, at any depth and width") {
  const c10::InferenceMode inference;
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    for (const std::int64_t rows : {1, 2, 3, 4})
      for (const std::int64_t in : {1, 31, 320, 333})
        for (const std::int64_t out : {1, 33, 64}) {
          const at::Tensor x = at::randn({rows, in}).to(dtype), bias = at::randn({out}).to(dtype);
          CHECK(error(x, out, bias) < tolerance(dtype));
        }
}

TEST_CASE("few rows keep their leading dimensions, and need no bias") {
  const c10::InferenceMode inference;
  CHECK(error(at::randn({2, 1, 2, 48}), 20, at::Tensor()) < tolerance(at::kFloat));
  CHECK(error(at::randn({48}), 20, at::Tensor()) < tolerance(at::kFloat));
}

TEST_CASE("more rows, and types that the kernel has not, go other ways") {
  CHECK(rows_are_few(at::kBFloat16, kFewRows));
  CHECK_FALSE(rows_are_few(at::kFloat, kFewRows + 1));
  CHECK_FALSE(rows_are_few(at::kHalf, 1));
}

}  // namespace
}  // namespace emulsion::kernels

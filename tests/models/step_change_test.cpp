#include "models/step_change.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include "check.h"

#include "fakes/reference.h"

namespace emulsion::models {
namespace {

TEST_CASE("the rate is the mean change of the result for one of the sample, picture by picture") {
  const at::Tensor x = at::randn({2, 4, 3, 5}), y = at::randn({2, 4, 3, 5});
  const at::Tensor more = at::cat({at::full({1, 4, 3, 5}, 0.1), at::full({1, 4, 3, 5}, -0.2)});
  const at::Tensor rate = change_rate({x, y}, {x + more, y + more * 3});
  CHECK(fakes::distance(rate, at::full({2}, 3.0)) < 1e-4);
}

TEST_CASE("the expected change grows with the sample's, and the picture with the most tells") {
  const at::Tensor x = at::randn({2, 4, 3, 5});
  const at::Tensor result = at::cat({at::full({1, 4, 3, 5}, 2.0), at::full({1, 4, 3, 5}, -4.0)});
  const at::Tensor rate = at::full({2}, 3.0);
  const auto change = [&](double by) {
    return expected_change({x, result}, rate, x + by).item<double>();
  };
  CHECK(change(0.1) == doctest::Approx(3 * 0.1 / 2).epsilon(1e-4));
  CHECK(change(-0.2) == doctest::Approx(3 * 0.2 / 2).epsilon(1e-4));
}

TEST_CASE("a sample that stays expects no change, whatever the rate before") {
  const at::Tensor x = at::randn({1, 4, 3, 5});
  CHECK(change_rate({x, x}, {x, x}).item<double>() == 0);
  CHECK(expected_change({x, x}, at::full({1}, 5.0), x).item<double>() == 0);
}

}  // namespace
}  // namespace emulsion::models

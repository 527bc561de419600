#include "exec/operator_profile.h"

#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <c10/core/InferenceMode.h>

#include "check.h"

using namespace emulsion;

namespace {

OperatorTimes only_one(const OperatorProfile& profile, const std::string& name) {
  OperatorTimes found;
  for (const OperatorTimes& one : profile.operators())
    if (one.name == name) {
      CHECK(found.calls == 0);
      found = one;
    }
  return found;
}

}  // namespace

TEST_CASE("calls with the same shapes are added up, and what they call is theirs") {
  const c10::InferenceMode inference;
  const at::Tensor x = at::ones({5, 7}), weight = at::ones({3, 7}), y = at::ones({5, 3});
  OperatorProfile profile;
  at::linear(x, weight);
  at::linear(x, weight);
  y.add_(1);
  REQUIRE(profile.operators().size() == 2);
  const OperatorTimes linear = only_one(profile, "linear");
  CHECK(linear.shapes == "[5, 7] [3, 7]");
  CHECK(linear.calls == 2);
  CHECK(linear.flops == 2 * (2 * 5 * 7 * 3));
  CHECK(linear.seconds > 0);
  CHECK(only_one(profile, "add_").flops == 0);
}

TEST_CASE("a convolution's operations follow from stride and padding") {
  const c10::InferenceMode inference;
  const at::Tensor x = at::ones({2, 3, 9, 8}), weight = at::ones({5, 3, 3, 3});
  OperatorProfile profile;
  at::conv2d(x, weight, {}, 2, 1);  // to 5 x 4
  CHECK(only_one(profile, "conv2d").flops == 2 * (2 * 5 * 5 * 4) * (3 * 9));
}

TEST_CASE("attention counts both of its products") {
  const c10::InferenceMode inference;
  const at::Tensor q = at::ones({1, 2, 6, 8}), k = at::ones({1, 2, 10, 8});
  OperatorProfile profile;
  at::scaled_dot_product_attention(q, k, k);
  CHECK(only_one(profile, "scaled_dot_product_attention").flops == 2 * 2 * (2 * 6 * 10 * 8));
}

TEST_CASE("nothing is timed before and after") {
  const c10::InferenceMode inference;
  const at::Tensor x = at::ones({4});
  {
    const OperatorProfile first;
    CHECK(first.operators().empty());
  }
  x.add_(1);
  const OperatorProfile second;
  CHECK(second.operators().empty());
}

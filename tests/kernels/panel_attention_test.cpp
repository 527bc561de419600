#include "kernels/panel_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "fakes/attention.h"

namespace emulsion::kernels {
namespace {

double error(const fakes::AttentionCase& one, c10::ScalarType dtype) {
  return fakes::attention_error(panel_attention, one, dtype);
}

double tolerance(c10::ScalarType dtype) { return dtype == at::kFloat ? 1e-5 : 0.03; }

TEST_CASE("attention by panels gives what the definition gives") {
  const c10::InferenceMode inference;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    if (!panels_attend(dtype)) continue;
    CHECK(error({2, 96, 128, 3}, dtype) < tolerance(dtype));
  }
}

TEST_CASE("queries and keys that tiles and panels do not divide are all there") {
  const c10::InferenceMode inference;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    if (!panels_attend(dtype)) continue;
    for (const std::int64_t queries : {1, 13, 50})
      for (const std::int64_t keys : {1, 2, 15, 33, 77})
        CHECK(error({1, queries, keys, 2}, dtype) < tolerance(dtype));
  }
}

TEST_CASE("keys of several blocks weigh as if they had been seen at once") {
  const c10::InferenceMode inference;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    if (!panels_attend(dtype)) continue;
    CHECK(error({1, 20, 1100, 2}, dtype) < tolerance(dtype));
    // Nearly all weight on one: scores of some hundreds are rounded before they are compared.
    CHECK(error({1, 20, 513, 2, 30}, dtype) < 5 * tolerance(dtype));
  }
}

TEST_CASE("heads that do not fit in at once come one after the other") {
  if (!panels_attend(at::kFloat)) return;
  const c10::InferenceMode inference;
  CHECK(error({1, 3, 17000, 3}, at::kFloat) < 1e-5);
  const auto scratch = [](std::int64_t heads) {
    return panel_attention_scratch({1, 3, 17000, heads, 32}, at::kFloat, 2);
  };
  CHECK(scratch(1) == scratch(3));
}

TEST_CASE("scores far apart overflow nothing") {
  const c10::InferenceMode inference;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    if (!panels_attend(dtype)) continue;
    const at::Tensor q = at::randn({1, 4, 32}).mul(1e4).to(dtype);
    const at::Tensor y = panel_attention(q, at::randn({1, 600, 32}).mul(1e4).to(dtype),
                                         at::randn({1, 600, 32}).to(dtype), 1);
    CHECK(y.isfinite().all().item<bool>());
  }
}

TEST_CASE("heads that are no whole panels wide lose nothing") {
  const c10::InferenceMode inference;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    if (!panels_attend(dtype)) continue;
    for (const std::int64_t width : {8, 40, 80})
      CHECK(error({2, 50, 77, 3, 1, width}, dtype) < tolerance(dtype));
  }
}

TEST_CASE("half floats are left to others") { CHECK_FALSE(panels_attend(at::kHalf)); }

}  // namespace
}  // namespace emulsion::kernels

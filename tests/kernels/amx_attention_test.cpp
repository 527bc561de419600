#include "kernels/amx_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "fakes/attention.h"

namespace emulsion::kernels {
namespace {

constexpr double kRounded = 0.03;  // weights, values and result, for values with a spread of 1

bool is_there() { return amx_attends(at::kBFloat16); }

at::Tensor numbers(at::IntArrayRef shape) { return at::randn(shape).to(at::kBFloat16); }

double error(const fakes::AttentionCase& one) {
  return fakes::attention_error(amx_attention, one, at::kBFloat16);
}

TEST_CASE("attention in tile registers gives what the definition gives") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  CHECK(error({2, 96, 128, 3}) < kRounded);
}

TEST_CASE("queries and keys that tile registers do not divide are all there") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  for (const std::int64_t queries : {1, 13, 50, 97})
    for (const std::int64_t keys : {1, 2, 15, 33, 77})
      CHECK(error({1, queries, keys, 2}) < kRounded);
}

TEST_CASE("keys of several blocks weigh in tile registers as if they had been seen at once") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  CHECK(error({1, 20, 2100, 2}) < kRounded);
  // Nearly all weight on one: scores of some hundreds are rounded before they are compared.
  CHECK(error({1, 20, 1025, 2, 30}) < 5 * kRounded);
}

TEST_CASE("heads of any width lose nothing in tile registers") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  for (const std::int64_t width : {8, 40, 80, 160, 512})
    CHECK(error({2, 50, 77, 3, 1, width}) < kRounded);
}

TEST_CASE("heads whose keys do not fit in at once come one after the other in tile registers") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  CHECK(error({1, 3, 33000, 3}) < kRounded);
  const auto scratch = [](std::int64_t heads) {
    return amx_attention_scratch({1, 3, 33000, heads, 32}, 2);
  };
  CHECK(scratch(1) == scratch(3));
}

// Scores of some hundred among others of one digit: e to their power is in no float.
TEST_CASE("a score that is far above a query's first ones takes all of the weight") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  for (const std::int64_t high : {3, 40, 1200, 1999}) {
    const at::Tensor q = at::full({1, 70, 64}, 4, at::kBFloat16), v = numbers({1, 2000, 64});
    at::Tensor k = numbers({1, 2000, 64});
    k.select(1, high).fill_(30);
    const at::Tensor y = amx_attention(q, k, v, 2);
    CHECK(fakes::distance(y, fakes::plain_attention(q, k, v, 2)) < kRounded);
    CHECK(fakes::distance(y.select(1, 69), v.select(1, high)) < kRounded);
  }
}

TEST_CASE("scores that are far below a query's first ones weigh nothing") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  const at::Tensor q = at::full({1, 40, 32}, 4, at::kBFloat16), v = numbers({1, 1500, 32});
  at::Tensor k = at::full({1, 1500, 32}, -30, at::kBFloat16);
  k.narrow(1, 0, 2).fill_(1);
  const at::Tensor y = amx_attention(q, k, v, 1);
  CHECK(fakes::distance(y.select(1, 0), v.narrow(1, 0, 2).mean(1)) < kRounded);
}

TEST_CASE("what is no number stays visible, and only where it was looked at") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  at::Tensor q = numbers({1, 40, 32});
  q.select(1, 7).fill_(std::numeric_limits<float>::quiet_NaN());
  const at::Tensor y = amx_attention(q, numbers({1, 50, 32}), numbers({1, 50, 32}), 1);
  CHECK(y.select(1, 7).isnan().all().item<bool>());
  CHECK(y.isnan().sum().item<std::int64_t>() == 32);
}

TEST_CASE("rows of queries, keys and values may lie apart") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  const at::Tensor together = numbers({2, 45, 3 * 64});
  const at::Tensor q = together.narrow(2, 0, 64), k = together.narrow(2, 64, 64),
                   v = together.narrow(2, 128, 64);
  const at::Tensor y = amx_attention(q, k, v, 2);
  CHECK(y.is_contiguous());
  CHECK(fakes::distance(y, amx_attention(q.contiguous(), k.contiguous(), v.contiguous(), 2)) == 0);
}

TEST_CASE("other types than bfloat16 do not go to tile registers") {
  CHECK_FALSE(amx_attends(at::kFloat));
  CHECK_FALSE(amx_attends(at::kHalf));
}

}  // namespace
}  // namespace emulsion::kernels

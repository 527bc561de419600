#include "kernels/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "fakes/attention.h"

namespace emulsion::kernels {
namespace {

constexpr std::int64_t kHeads = 3, kHeadWidth = 16, kWidth = kHeads * kHeadWidth;

struct Inputs {
  at::Tensor q, k, v;

  Inputs(std::int64_t L, std::int64_t S, c10::ScalarType dtype)
      : q(at::randn({2, L, kWidth}).to(dtype)),
        k(at::randn({2, S, kWidth}).to(dtype)),
        v(at::randn({2, S, kWidth}).to(dtype)) {}

  double error() const {
    return fakes::distance(attention(q, k, v, kHeads), fakes::plain_attention(q, k, v, kHeads));
  }
};

TEST_CASE("attention is the softmax-weighted mean of the values") {
  const c10::InferenceMode inference;
  CHECK(Inputs(33, 77, at::kFloat).error() < 1e-5);
  CHECK(Inputs(300, 300, at::kFloat).error() < 1e-5);
}

TEST_CASE("attention in bfloat16 stays within its rounding, with and without tiles") {
  const c10::InferenceMode inference;
  CHECK(Inputs(33, 77, at::kBFloat16).error() < 0.03);
  CHECK(Inputs(700, 300, at::kBFloat16).error() < 0.03);  // three tiles, the last one short
  CHECK(Inputs(5, 256, at::kBFloat16).error() < 0.03);
}

TEST_CASE("keys and values that come twice weigh what they weighed once") {
  const c10::InferenceMode inference;
  const Inputs in(20, 30, at::kFloat);
  const at::Tensor once = attention(in.q, in.k, in.v, kHeads);
  const at::Tensor twice = attention(in.q, in.k.repeat({1, 2, 1}), in.v.repeat({1, 2, 1}), kHeads);
  CHECK(fakes::distance(once, twice) < 1e-5);
}

TEST_CASE("with the causal mask, a token sees itself and those before it") {
  const c10::InferenceMode inference;
  const Inputs in(9, 9, at::kFloat);
  const at::Tensor masked = attention(in.q, in.k, in.v, kHeads, Mask::Causal);
  CHECK(fakes::distance(masked.narrow(1, 0, 1), in.v.narrow(1, 0, 1)) < 1e-6);
  const at::Tensor five = fakes::plain_attention(in.q.narrow(1, 4, 1), in.k.narrow(1, 0, 5),
                                                 in.v.narrow(1, 0, 5), kHeads);
  CHECK(fakes::distance(masked.narrow(1, 4, 1), five) < 1e-5);
}

}  // namespace
}  // namespace emulsion::kernels

#include "kernels/amx_product.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "fakes/packed.h"
#include "fakes/reference.h"
#include "kernels/unpack.h"

namespace emulsion::kernels {
namespace {

at::Tensor numbers(at::IntArrayRef shape, double spread = 1) {
  return at::randn(shape).mul_(spread).to(at::kBFloat16);
}

at::Tensor wide(const at::Tensor& tensor) { return tensor.to(at::kDouble); }

bool is_there() { return amx_takes(at::kBFloat16, 64, 32, 32); }

// Distance from the product in float64 of the same numbers, in parts of the largest result.
double error(std::int64_t rows, std::int64_t in, std::int64_t out) {
  const at::Tensor x = numbers({rows, in}), bias = numbers({out}),
                   weight = numbers({out, in}, 1 / std::sqrt(static_cast<double>(in)));
  const at::Tensor wanted = at::linear(wide(x), wide(weight), wide(bias));
  return fakes::distance(amx_linear(x, plain_weight(weight), bias), wanted) /
         wanted.abs().max().item<double>();
}

constexpr double kRounded = 1.0 / 256;  // of the result alone

TEST_CASE("a product in tile registers gives what the definition gives") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  for (const std::int64_t rows : {16, 25, 31, 48, 97, 640})
    for (const std::int64_t in : {32, 96})
      for (const std::int64_t out : {32, 320}) CHECK(error(rows, in, out) < kRounded);
}

TEST_CASE("a deep product in tile registers is summed up slice by slice") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  for (const std::int64_t rows : {20, 700})
    for (const std::int64_t in : {1536, 1568, 5120}) CHECK(error(rows, in, 96) < kRounded);
}

TEST_CASE("rows without a bias keep their leading dimensions in tile registers") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  const at::Tensor x = numbers({2, 11, 32}), weight = numbers({64, 32});
  const at::Tensor y = amx_linear(x.transpose(0, 1), plain_weight(weight), at::Tensor());
  CHECK(y.sizes() == at::IntArrayRef({11, 2, 64}));
  const at::Tensor wanted = at::linear(wide(x.transpose(0, 1)), wide(weight));
  CHECK(fakes::distance(y, wanted) < kRounded * wanted.abs().max().item<double>());
}

TEST_CASE("a product is added to what is there before anything is rounded") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  for (const std::int64_t in : {64, 1600}) {
    const at::Tensor x = numbers({50, in}), bias = numbers({96}), y = numbers({50, 96}),
                     weight = numbers({96, in}, 1 / std::sqrt(static_cast<double>(in)));
    const at::Tensor wanted = wide(y) + at::linear(wide(x), wide(weight), wide(bias));
    amx_add_linear_(y, x, plain_weight(weight), bias);
    CHECK(fakes::distance(y, wanted) < kRounded * wanted.abs().max().item<double>());
  }
}

TEST_CASE("gates are multiplied before anything is rounded") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  for (const std::int64_t in : {64, 1600}) {
    const at::Tensor x = numbers({50, in}), bias = numbers({192}),
                     weight = numbers({192, in}, 1 / std::sqrt(static_cast<double>(in)));
    const auto halves = at::linear(wide(x), wide(weight), wide(bias)).chunk(2, -1);
    const at::Tensor wanted = halves[0].mul(at::gelu(halves[1]));
    CHECK(fakes::distance(amx_gated_linear(x, plain_weight(weight), bias), wanted) <
          kRounded * wanted.abs().max().item<double>());
  }
}

TEST_CASE("what tile registers do not divide is left to others") {
  CHECK_FALSE(amx_takes(at::kBFloat16, 64, 40, 32));
  CHECK_FALSE(amx_takes(at::kBFloat16, 64, 32, 4));
  CHECK_FALSE(amx_takes(at::kBFloat16, 2, 32, 32));
  CHECK_FALSE(amx_takes(at::kFloat, 64, 32, 32));
}

TEST_CASE("what tile registers need beside them does not grow with the weight") {
  const auto scratch = [](std::int64_t out) {
    return amx_linear_scratch({512, 1280, 1, out}, 2) - out;
  };
  CHECK(scratch(10240) <= 2 * scratch(1280));
  CHECK(scratch(10240) < 1280 * 10240 / 4);
}

// A weight, packed in each way, and its product with numbers, also unpacked: bit by bit.
template <class Multiply>
void check_packed(const std::vector<std::int64_t>& shape, const Multiply& multiply) {
  for (const Packing packing : fakes::kPackings) {
    CAPTURE(to_text(packing));
    const Weight weight = fakes::random_packed(shape, packing, at::kBFloat16);
    CHECK(fakes::distance(multiply(weight), multiply(fakes::unpacked_weight(weight))) == 0);
  }
}

TEST_CASE("packed weights are unpacked on the way to tile registers") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  for (const std::int64_t in : {64, 3200}) {  // the latter in slices
    const at::Tensor x = numbers({70, in}), bias = numbers({96});
    check_packed({96, in}, [&](const Weight& weight) { return amx_linear(x, weight, bias); });
    check_packed({192, in}, [&](const Weight& weight) {
      return amx_gated_linear(x, weight, numbers({192}).fill_(0.5));
    });
  }
  CHECK(amx_linear_scratch({.count = 70, .depth = 64, .taps = 1, .out = 96, .is_packed = true}, 2) >
        amx_linear_scratch({.count = 70, .depth = 64, .taps = 1, .out = 96}, 2));
}

}  // namespace
}  // namespace emulsion::kernels

#include "kernels/norm_silu.h"

#include <ATen/ops/group_norm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "fakes/reference.h"

namespace emulsion::kernels {
namespace {

struct Case {
  std::int64_t batch, channels, height, width, groups;
  double mean = 0;
};

// Distance of the largest result from the definition in float64.
double error(const Case& one, c10::ScalarType dtype) {
  const at::Tensor x = at::randn({one.batch, one.channels, one.height, one.width})
                           .add_(one.mean)
                           .to(dtype)
                           .contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor weight = at::randn({one.channels}).to(dtype);
  const at::Tensor bias = at::randn({one.channels}).to(dtype);
  REQUIRE(suits_norm_silu(x));
  const at::Tensor y = norm_silu(x, {one.groups, weight, bias, 1e-5});
  CHECK((y.scalar_type() == dtype));
  CHECK(y.is_contiguous(at::MemoryFormat::ChannelsLast));
  const auto wide = [](const at::Tensor& tensor) { return tensor.to(at::kDouble); };
  const at::Tensor want =
      at::silu(at::group_norm(wide(x), one.groups, wide(weight), wide(bias), 1e-5));
  return fakes::distance(y, want);
}

TEST_CASE("norm and silu in one pass give what the two give") {
  const c10::InferenceMode inference;
  CHECK(error({2, 32, 9, 7, 8}, at::kFloat) < 1e-5);
  CHECK(error({1, 320, 64, 64, 32}, at::kFloat) < 1e-5);  // sums of several threads and of parts
  CHECK(error({3, 21, 1, 1, 3}, at::kFloat) < 1e-5);      // no multiple of a vector's width
}

TEST_CASE("a mean far above the spread costs no digits") {
  const c10::InferenceMode inference;
  CHECK(error({1, 64, 33, 40, 4, 100}, at::kFloat) < 2e-4);  // rounding of x itself: 100 * 2^-24
}

TEST_CASE("in bfloat16 only the result is rounded") {
  const c10::InferenceMode inference;
  CHECK(error({2, 32, 9, 7, 8}, at::kBFloat16) < 0.04);  // half a step of results below 16
  CHECK(error({1, 128, 30, 31, 32}, at::kBFloat16) < 0.04);
}

TEST_CASE("silu stays finite where its exponential would not") {
  const c10::InferenceMode inference;
  const at::Tensor x = at::randn({1, 16, 4, 4}).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor weight = at::ones({16}).mul_(1e4), bias = at::zeros({16});
  const at::Tensor y = norm_silu(x, {4, weight, bias, 1e-5});
  CHECK(std::isfinite(y.sum().item<double>()));
  CHECK(y.min().item<double>() > -0.3);
}

TEST_CASE("NaN stays NaN") {
  const c10::InferenceMode inference;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x = at::ones({1, 16, 4, 4}, dtype).contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor weight = at::ones({16}, dtype), bias = at::zeros({16}, dtype);
    bias[3].fill_(std::nan(""));
    CHECK(std::isnan(norm_silu(x, {4, weight, bias, 1e-5}).sum().item<double>()));
  }
}

}  // namespace
}  // namespace emulsion::kernels

#include "kernels/winograd.h"

#include <ATen/ops/conv2d.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "fakes/reference.h"

namespace emulsion::kernels {
namespace {

struct Case {
  std::int64_t batch, in, out, height, width;
};

// Distance from the definition in float64 of the same numbers; results have a spread of 1.
double error(const Case& one, c10::ScalarType dtype = at::kFloat) {
  const double spread = 1 / std::sqrt(9.0 * static_cast<double>(one.in));
  const at::Tensor x = at::randn({one.batch, one.in, one.height, one.width}).to(dtype);
  const at::Tensor weight = at::randn({one.out, one.in, 3, 3}).mul_(spread).to(dtype);
  const at::Tensor bias = at::randn({one.out}).to(dtype);
  const at::Tensor y = winograd_conv2d(x.contiguous(at::MemoryFormat::ChannelsLast), weight, bias);
  CHECK(y.is_contiguous(at::MemoryFormat::ChannelsLast));
  const auto wide = [](const at::Tensor& tensor) { return tensor.to(at::kDouble); };
  return fakes::distance(y, at::conv2d(wide(x), wide(weight), wide(bias), 1, 1));
}

TEST_CASE("a convolution by tiles gives what the definition gives") {
  if (!winograd_holds(at::kFloat)) return;
  const c10::InferenceMode inference;
  CHECK(error({1, 32, 48, 16, 12}) < 2e-5);
  CHECK(error({1, 320, 32, 8, 8}) < 5e-5);
}

TEST_CASE("bfloat16 is widened on the way in, and rounded on the way out") {
  if (!winograd_holds(at::kBFloat16)) return;
  const c10::InferenceMode inference;
  CHECK(error({1, 32, 48, 16, 12}, at::kBFloat16) < 4e-2);
}

TEST_CASE("maps that tiles do not divide keep their borders") {
  if (!winograd_holds(at::kFloat)) return;
  const c10::InferenceMode inference;
  for (const std::int64_t side : {1, 2, 3, 5, 7}) CHECK(error({2, 16, 16, side, side + 2}) < 2e-5);
}

TEST_CASE("more tiles than are worked on at once, of several samples, are all there") {
  if (!winograd_holds(at::kFloat)) return;
  const c10::InferenceMode inference;
  CHECK(error({3, 16, 32, 30, 37}) < 2e-5);  // 240 tiles
}

TEST_CASE("of a map that is doubled, each pixel stands for four") {
  if (!winograd_holds(at::kFloat)) return;
  const c10::InferenceMode inference;
  for (const std::int64_t side : {1, 3, 5, 9, 43}) {  // up to 162 tiles
    const at::Tensor x = at::randn({2, 32, side, side + 1}),
                     weight = at::randn({48, 32, 3, 3}).div_(17), bias = at::randn({48});
    const at::Tensor large = at::upsample_nearest2d(x, {2 * side, 2 * side + 2});
    const at::Tensor y =
        winograd_doubled_conv2d(x.contiguous(at::MemoryFormat::ChannelsLast), weight, bias);
    CHECK(y.is_contiguous(at::MemoryFormat::ChannelsLast));
    CHECK(fakes::distance(y, at::conv2d(large.to(at::kDouble), weight.to(at::kDouble),
                                        bias.to(at::kDouble), 1, 1)) < 2e-5);
  }
}

TEST_CASE("filters that are too many for one transform come in blocks") {
  if (!winograd_holds(at::kFloat)) return;
  const c10::InferenceMode inference;
  CHECK(error({1, 960, 384, 52, 48}) < 5e-5);  // 156 tiles
}

TEST_CASE("filters of a map that is doubled come in blocks, and each block for all four results") {
  if (!winograd_holds(at::kFloat)) return;
  const c10::InferenceMode inference;
  const at::Tensor x = at::randn({1, 960, 61, 60}).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor weight = at::randn({384, 960, 3, 3}).div_(93), bias = at::randn({384});
  const at::Tensor large = at::upsample_nearest2d(x, {122, 120});
  CHECK(fakes::distance(winograd_doubled_conv2d(x, weight, bias),
                        winograd_conv2d(large, weight, bias)) < 1e-4);
}

TEST_CASE("few tiles have their filters transformed in parts, of channels and of filters") {
  if (!winograd_holds(at::kFloat)) return;
  const c10::InferenceMode inference;
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    CHECK(error({2, 176, 80, 7, 9}, dtype) < (dtype == at::kFloat ? 5e-5 : 4e-2));
}

TEST_CASE("of few tiles the weights that are kept do not grow with the channels") {
  const auto weights = [](std::int64_t in) {
    const WinogradShape shape{in, 1280, 32};
    return shape.scratch(2) - 36 * in * shape.tiles - in;
  };
  CHECK(weights(1280) == weights(2560));
}

TEST_CASE("it pays where several tiles share the weights, and vectors fit the channels") {
  CHECK(WinogradShape{320, 320, 256}.pays());
  CHECK(WinogradShape{1280, 1280, 4}.pays());
  CHECK_FALSE(WinogradShape{1280, 1280, 1}.pays());
  CHECK(WinogradShape{640, 640, 98, true}.pays());
  CHECK_FALSE(WinogradShape{1280, 1280, 32, true}.pays());
  CHECK_FALSE(WinogradShape{4, 320, 256}.pays());
  CHECK_FALSE(WinogradShape{320, 4, 256}.pays());
  CHECK_FALSE(WinogradShape{40, 320, 256}.pays());
}

}  // namespace
}  // namespace emulsion::kernels

#include "kernels/panel_conv.h"

#include <ATen/ops/conv2d.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "fakes/reference.h"
#include "kernels/panel_tile.h"

namespace emulsion::kernels {
namespace {

struct Size {
  std::int64_t batch, height, width;
};

// Distance from the definition in float64 of the same numbers; results have a spread of 1.
double error(const ConvShape& shape, const Size& size, c10::ScalarType dtype) {
  const auto wide = [](const at::Tensor& tensor) { return tensor.to(at::kDouble); };
  const double spread = 1 / std::sqrt(static_cast<double>(shape.in * shape.kernel * shape.kernel));
  const at::Tensor x = at::randn({size.batch, shape.in, size.height, size.width}).to(dtype);
  const at::Tensor weight =
      at::randn({shape.out, shape.in, shape.kernel, shape.kernel}).mul_(spread).to(dtype);
  const at::Tensor bias = at::randn({shape.out}).to(dtype);
  const at::Tensor y =
      panel_conv2d(x.contiguous(at::MemoryFormat::ChannelsLast), weight, bias, shape);
  CHECK(y.is_contiguous(at::MemoryFormat::ChannelsLast));
  return fakes::distance(
      y, at::conv2d(wide(x), wide(weight), wide(bias), shape.stride, shape.padding));
}

TEST_CASE("a convolution by panels gives what the definition gives") {
  if (!has_panel_tiles()) return;
  const c10::InferenceMode inference;
  CHECK(error({.in = 32, .out = 48}, {2, 8, 11}, at::kFloat) < 2e-5);
  CHECK(error({.in = 32, .out = 48}, {2, 8, 11}, at::kBFloat16) < 4e-2);
}

TEST_CASE("every kernel, stride and padding of the models has its form") {
  if (!has_panel_tiles()) return;
  const c10::InferenceMode inference;
  const Size size{1, 9, 6};
  CHECK(error({.in = 24, .out = 4, .kernel = 1, .padding = 0}, size, at::kFloat) < 2e-5);
  CHECK(error({.in = 17, .out = 20, .stride = 2}, size, at::kFloat) < 2e-5);
  CHECK(error({.in = 17, .out = 20, .stride = 2, .padding = 0}, size, at::kFloat) < 2e-5);
  CHECK(error({.in = 16, .out = 16, .kernel = 5, .padding = 2}, size, at::kFloat) < 2e-5);
  for (const std::int64_t in : {17, 18, 48})
    CHECK(error({.in = in, .out = 20, .stride = 2}, size, at::kBFloat16) < 4e-2);
}

TEST_CASE("samples of a batch do not see each other's borders") {
  if (!has_panel_tiles()) return;
  const c10::InferenceMode inference;
  CHECK(error({.in = 16, .out = 16}, {5, 1, 1}, at::kFloat) < 2e-5);
  CHECK(error({.in = 16, .out = 16}, {7, 3, 37}, at::kFloat) < 2e-5);
}

}  // namespace
}  // namespace emulsion::kernels

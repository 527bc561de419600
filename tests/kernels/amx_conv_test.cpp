#include "kernels/amx_conv.h"

#include <ATen/ops/conv2d.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "fakes/reference.h"
#include "kernels/amx_product.h"

namespace emulsion::kernels {
namespace {

// Distance from the definition in float64 of the same numbers; results have a spread of 1.
double error(const AmxConvShape& shape) {
  const auto wide = [](const at::Tensor& tensor) { return tensor.to(at::kDouble); };
  const double spread = 1 / std::sqrt(static_cast<double>(shape.in * 9));
  const at::Tensor x =
      at::randn({shape.batch, shape.in, shape.height, shape.width}).to(at::kBFloat16);
  const at::Tensor weight = at::randn({shape.out, shape.in, 3, 3}).mul_(spread).to(at::kBFloat16);
  const at::Tensor bias = at::randn({shape.out}).to(at::kBFloat16);
  const at::Tensor y = amx_conv2d(x.contiguous(at::MemoryFormat::ChannelsLast), weight, bias);
  CHECK(y.is_contiguous(at::MemoryFormat::ChannelsLast));
  return fakes::distance(y, at::conv2d(wide(x), wide(weight), wide(bias), 1, 1));
}

bool is_there() { return amx_takes(at::kBFloat16, 64, 32, 32); }

TEST_CASE("a convolution in tile registers gives what the definition gives") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  CHECK(error({1, 16, 16, 32, 32}) < 4e-2);
  CHECK(error({2, 8, 8, 64, 96}) < 4e-2);
  CHECK(error({2, 24, 24, 352, 64}) < 4e-2);
}

TEST_CASE("maps of any size, and of several samples, keep apart") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  for (const std::int64_t height : {1, 3, 17})
    for (const std::int64_t width : {1, 5, 33}) CHECK(error({3, height, width, 32, 32}) < 4e-2);
}

TEST_CASE("a large map goes by bands that know of each other's edges") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  CHECK(error({1, 150, 500, 96, 32}) < 4e-2);
  CHECK(AmxConvShape{1, 1024, 500, 96, 32}.scratch(2) <=
        AmxConvShape{1, 512, 500, 96, 32}.scratch(2));
}

}  // namespace
}  // namespace emulsion::kernels

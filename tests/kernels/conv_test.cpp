#include "kernels/conv.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/pad.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "fakes/packed.h"
#include "fakes/reference.h"
#include "kernels/unpack.h"

namespace emulsion::kernels {
namespace {

constexpr std::int64_t kIn = 64, kOut = 32, kHeight = 10, kWidth = 7;
constexpr ConvShape kSame{.in = kIn, .out = kOut};

at::Tensor wide(const at::Tensor& tensor) { return tensor.to(at::kDouble); }

struct Layer {
  at::Tensor x, weight, bias;

  explicit Layer(c10::ScalarType dtype)
      : x(in_map_layout(at::randn({2, kIn, kHeight, kWidth}).to(dtype))),
        weight(at::randn({kOut, kIn, 3, 3}).div_(24).to(dtype)),
        bias(at::randn({kOut}).to(dtype)) {}

  // In float64.
  at::Tensor defined(const at::Tensor& map, std::int64_t stride, std::int64_t padding) const {
    return at::conv2d(wide(map), wide(weight), wide(bias), stride, padding);
  }
};

struct Precision {
  c10::ScalarType dtype;
  double rounded;
};
constexpr Precision kPrecisions[] = {{at::kFloat, 1e-4}, {at::kBFloat16, 6e-2}};

TEST_CASE("a convolution of a map that is doubled is that of its nearest neighbours") {
  const c10::InferenceMode inference;
  for (const Precision& precision : kPrecisions) {
    const Layer layer(precision.dtype);
    const at::Tensor large = at::upsample_nearest2d(layer.x, {2 * kHeight, 2 * kWidth});
    const at::Tensor y = doubled_conv2d(layer.x, plain_weight(layer.weight), layer.bias, kSame);
    CHECK(fakes::distance(y, layer.defined(large, 1, 1)) < precision.rounded);
  }
}

TEST_CASE("the weight of a map that is doubled may be packed") {
  const c10::InferenceMode inference;
  for (const c10::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const std::int64_t side : {12, 40}) {  // of few tiles, and of enough
      const Weight weight = fakes::random_packed({48, 64, 3, 3}, Packing::Q8_0, dtype);
      const at::Tensor x = in_map_layout(at::randn({1, 64, side, side}).to(dtype)),
                       bias = at::randn({48}).to(dtype);
      const ConvShape shape{.in = 64, .out = 48};
      const at::Tensor large = at::upsample_nearest2d(x, {2 * side, 2 * side});
      const at::Tensor wanted = conv2d(large, fakes::unpacked_weight(weight), bias, shape);
      CHECK(fakes::packed_error(doubled_conv2d(x, weight, bias, shape), wanted) <
            fakes::packed_tolerance(dtype));
    }
}

TEST_CASE("a convolution of stride 2 has zeros on all sides, or on the far ones alone") {
  const c10::InferenceMode inference;
  for (const Precision& precision : kPrecisions) {
    const Layer layer(precision.dtype);
    const ConvShape half{.in = kIn, .out = kOut, .stride = 2};
    CHECK(fakes::distance(conv2d(layer.x, layer.weight, layer.bias, half),
                          layer.defined(layer.x, 2, 1)) < precision.rounded);
    const ConvShape at_end{.in = kIn, .out = kOut, .stride = 2, .padding = 0};
    CHECK(fakes::distance(halved_conv2d(layer.x, plain_weight(layer.weight), layer.bias, at_end),
                          layer.defined(at::pad(layer.x, {0, 1, 0, 1}), 2, 0)) < precision.rounded);
  }
}

TEST_CASE("what is done besides a convolution is the same on all processors") {
  const c10::InferenceMode inference;
  for (const Precision& precision : kPrecisions) {
    const Layer layer(precision.dtype);
    const at::Tensor shift = at::randn({2, kOut}).to(precision.dtype),
                     added =
                         in_map_layout(at::randn({2, kOut, kHeight, kWidth}).to(precision.dtype)),
                     scale = at::randn({kIn}).to(precision.dtype);
    const GroupNormWeights norm{8, scale, scale, 1e-5};
    const bool is_taken = takes_norm(layer.x, kSame);
    const at::Tensor y =
        conv2d(layer.x, layer.weight, layer.bias, kSame,
               {.norm = is_taken ? &norm : nullptr, .shift = shift, .added = added});
    const at::Tensor normed =
        at::silu(at::group_norm(wide(layer.x), 8, wide(scale), wide(scale), 1e-5));
    const at::Tensor wanted = layer.defined(is_taken ? normed.to(precision.dtype) : layer.x, 1, 1) +
                              wide(shift).view({2, kOut, 1, 1}) + wide(added);
    CHECK(fakes::distance(y, wanted) < precision.rounded);
  }
}

TEST_CASE("a packed convolution is one with the unpacked weight") {
  const c10::InferenceMode inference;
  for (const c10::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const std::int64_t side : {6, 40})  // the plain form, and by tiles
      for (const std::int64_t stride : {1, 2}) {
        CAPTURE(side);
        CAPTURE(stride);
        const ConvShape shape{.in = 64, .out = 48, .stride = stride};
        const Weight weight = fakes::random_packed({48, 64, 3, 3}, Packing::Q5_1, dtype);
        const at::Tensor x = in_map_layout(at::randn({1, 64, side, side}).to(dtype));
        const at::Tensor bias = at::randn({48}).to(dtype);
        const at::Tensor wanted = conv2d(x, fakes::unpacked_weight(weight).data, bias, shape);
        CHECK(fakes::packed_error(conv2d(x, weight, bias, shape), wanted) <
              fakes::packed_tolerance(dtype));
      }
}

}  // namespace
}  // namespace emulsion::kernels

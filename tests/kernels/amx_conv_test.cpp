#include "kernels/amx_conv.h"

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
#include "kernels/amx_product.h"
#include "kernels/unpack.h"

namespace emulsion::kernels {
namespace {

at::Tensor wide(const at::Tensor& tensor) { return tensor.to(at::kDouble); }

// Random numbers, with results that have a spread of 1.
struct Layer {
  at::Tensor x, weight, bias;

  Layer(const AmxMap& map, std::int64_t out)
      : x(at::randn({map.batch, map.channels, map.height, map.width})
              .to(at::kBFloat16)
              .contiguous(at::MemoryFormat::ChannelsLast)),
        weight(at::randn({out, map.channels, 3, 3})
                   .div_(std::sqrt(static_cast<double>(map.channels * 9)))
                   .to(at::kBFloat16)),
        bias(at::randn({out}).to(at::kBFloat16)) {}
};

// In float64, of a map that a norm may have changed.
at::Tensor defined(const Layer& layer, const at::Tensor& map, MapChange change) {
  const at::Tensor weight = wide(layer.weight), bias = wide(layer.bias);
  switch (change) {
    case MapChange::None: return at::conv2d(map, weight, bias, 1, 1);
    case MapChange::Doubled: {
      const at::Tensor large = at::upsample_nearest2d(map, {2 * map.size(2), 2 * map.size(3)});
      return at::conv2d(large, weight, bias, 1, 1);
    }
    case MapChange::Halved: return at::conv2d(map, weight, bias, 2, 1);
    case MapChange::HalvedAtEnd: return at::conv2d(at::pad(map, {0, 1, 0, 1}), weight, bias, 2);
  }
  return {};
}

// Distance from the definition in float64 of the same numbers.
double error(const AmxMap& map, std::int64_t out) {
  const Layer layer(map, out);
  const at::Tensor y = amx_conv2d(layer.x, plain_weight(layer.weight), layer.bias, map.change);
  CHECK(y.is_contiguous(at::MemoryFormat::ChannelsLast));
  return fakes::distance(y, defined(layer, wide(layer.x), map.change));
}

bool is_there() { return amx_takes(at::kBFloat16, 64, 32, 32); }

constexpr double kRounded = 4e-2;
constexpr MapChange kChanges[] = {MapChange::None, MapChange::Doubled, MapChange::Halved,
                                  MapChange::HalvedAtEnd};

TEST_CASE("a convolution in tile registers gives what the definition gives") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  for (const MapChange change : kChanges) {
    CHECK(error({1, 16, 16, 32, change}, 32) < kRounded);
    CHECK(error({2, 8, 8, 64, change}, 96) < kRounded);
    CHECK(error({2, 24, 24, 352, change}, 64) < kRounded);
  }
}

TEST_CASE("maps of any size, and of several samples, keep apart") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  for (const MapChange change : kChanges)
    for (const std::int64_t height : {2, 3, 17})
      for (const std::int64_t width : {2, 5, 33})
        CHECK(error({3, height, width, 32, change}, 32) < kRounded);
  CHECK(error({3, 1, 1, 32}, 32) < kRounded);
}

TEST_CASE("a large map goes by bands that know of each other's edges") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  for (const MapChange change : kChanges) CHECK(error({1, 150, 500, 96, change}, 32) < kRounded);
  CHECK(amx_conv_scratch({1, 1024, 500, 96}, 32, false, 2) <=
        amx_conv_scratch({1, 512, 500, 96}, 32, false, 2));
}

TEST_CASE("a norm before a convolution is that of each sample, and zeros stay zeros around it") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  const Layer layer({2, 9, 7, 64}, 32);
  const at::Tensor scale = at::randn({64}), shift = at::randn({64}).add_(1);
  const GroupNormWeights norm{4, scale, shift, 1e-5};
  const at::Tensor x = layer.x * at::randn({2, 1, 1, 1}).to(at::kBFloat16);
  const at::Tensor normed =
      at::silu(at::group_norm(wide(x), 4, wide(scale), wide(shift), 1e-5)).to(at::kBFloat16);
  const at::Tensor y = amx_conv2d(x, plain_weight(layer.weight), layer.bias, MapChange::None,
                                  {.norm = &norm, .shift = {}, .added = {}});
  CHECK(fakes::distance(y, defined(layer, wide(normed), MapChange::None)) < kRounded);
}

TEST_CASE("what is added to a convolution is added before it is rounded") {
  if (!is_there()) return;
  const c10::InferenceMode inference;
  const Layer layer({2, 9, 7, 64}, 32);
  const at::Tensor added =
      at::randn({2, 32, 9, 7}).to(at::kBFloat16).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor plain = defined(layer, wide(layer.x), MapChange::None);
  for (const std::int64_t samples : {1, 2}) {
    const at::Tensor shift = at::randn({samples, 32}).to(at::kBFloat16);
    const at::Tensor y =
        amx_conv2d(layer.x, plain_weight(layer.weight), layer.bias, MapChange::None,
                   {.norm = nullptr, .shift = shift, .added = added});
    const at::Tensor wanted = plain + wide(shift).view({samples, 32, 1, 1}) + wide(added);
    CHECK(fakes::distance(y, wanted) < wanted.abs().max().item<double>() / 256);
  }
}

TEST_CASE(
    "packed kernels are unpacked on the way to tile registers, whatever the map's size does") {
  using enum MapChange;
  if (!is_there()) return;
  const c10::InferenceMode inference;
  const at::Tensor bias = at::randn({64}).to(at::kBFloat16);
  for (const std::int64_t in : {96, 672}) {  // the latter in runs
    const at::Tensor x =
        at::randn({2, in, 8, 8}).to(at::kBFloat16).contiguous(at::MemoryFormat::ChannelsLast);
    for (const Packing packing : fakes::kPackings)
      for (const MapChange change : {None, Doubled, Halved, HalvedAtEnd}) {
        CAPTURE(to_text(packing));
        const Weight weight = fakes::random_packed({64, in, 3, 3}, packing, at::kBFloat16);
        const at::Tensor wanted = amx_conv2d(x, fakes::unpacked_weight(weight), bias, change);
        CHECK(fakes::distance(amx_conv2d(x, weight, bias, change), wanted) == 0);
      }
  }
}

}  // namespace
}  // namespace emulsion::kernels

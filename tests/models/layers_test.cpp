#include "models/layers.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "emulsion/errors.h"
#include "fakes/reference.h"
#include "models/time_embedding.h"

namespace emulsion::models {
namespace {

WeightView view_of(const std::map<std::string, at::Tensor>& tensors) {
  WeightSet set{.place = "test", .weights = {}};
  for (const auto& [name, tensor] : tensors)
    set.weights[name] = {{tensor.sizes().vec(), tensor.scalar_type()}, tensor};
  return WeightView(std::make_shared<const WeightSet>(set));
}

TEST_CASE("a linear layer equals LibTorch's, with and without a bias") {
  const c10::InferenceMode inference;
  const at::Tensor x = at::randn({2, 5, 24}), weight = at::randn({40, 24}), bias = at::randn({40});
  CHECK(fakes::distance(linear(x, weight, bias), at::linear(x, weight, bias)) < 1e-5);
  CHECK(fakes::distance(linear(x, weight, at::Tensor()), at::linear(x, weight)) < 1e-5);
  const at::Tensor turned = at::randn({2, 24, 5}).transpose(1, 2);
  CHECK(fakes::distance(linear(turned, weight, bias), at::linear(turned, weight, bias)) < 1e-5);
}

TEST_CASE("a linear layer takes the weight of a 1x1 convolution") {
  const at::Tensor kernel = at::randn({6, 4, 1, 1});
  const Linear layer(view_of({{"weight", kernel}, {"bias", at::randn({6})}}), 4, 6);
  CHECK(layer.weight.data.equal(kernel.view({6, 4})));
}

TEST_CASE("products of bfloat16 are those of float32, but for its rounding") {
  const c10::InferenceMode inference;
  const auto rounded = [](const at::Tensor& x) { return x.to(at::kBFloat16); };
  const at::Tensor weight = rounded(at::randn({40, 24})), bias = rounded(at::randn({40}));
  const at::Tensor x = rounded(at::randn({2, 5, 24}));
  const at::Tensor y = linear(x, weight, bias);
  CHECK((y.scalar_type() == at::kBFloat16));
  const auto wide = [](const at::Tensor& t) { return t.to(at::kFloat); };
  const at::Tensor exact = at::linear(wide(x), wide(weight), wide(bias));
  CHECK(fakes::distance(wide(y), exact) < 0.005 * exact.abs().max().item<double>());

  const ConvShape shape{.in = 6, .out = 8};
  const at::Tensor kernel = rounded(at::randn({8, 6, 3, 3})), shift = rounded(at::randn({8}));
  const at::Tensor map = in_map_layout(rounded(at::randn({2, 6, 20, 21})));
  const at::Tensor result = conv2d(map, kernel, shift, shape);
  CHECK((result.scalar_type() == at::kBFloat16));
  CHECK(result.is_contiguous(at::MemoryFormat::ChannelsLast));
  const at::Tensor wanted = at::conv2d(wide(map), wide(kernel), wide(shift), 1, 1);
  CHECK(fakes::distance(wide(result), wanted) < 0.005 * wanted.abs().max().item<double>());
}

TEST_CASE("a convolution equals LibTorch's, whichever of map and weights is larger") {
  const c10::InferenceMode inference;
  const at::Tensor weight = at::randn({8, 4, 3, 3}), bias = at::randn({8});
  for (const std::int64_t side : {3, 32}) {
    CAPTURE(side);
    const at::Tensor x = in_map_layout(at::randn({2, 4, side, side + 1}));
    const ConvShape shape{.in = 4, .out = 8, .stride = 2};
    const at::Tensor y = conv2d(x, weight, bias, shape);
    CHECK(fakes::distance(y, at::conv2d(x.contiguous(), weight, bias, 2, 1)) < 1e-5);
    CHECK(y.is_contiguous(at::MemoryFormat::ChannelsLast));
  }
}

TEST_CASE("activations are those of their names") {
  const c10::InferenceMode inference;
  const auto at_one = [](Activation activation) {
    at::Tensor x = at::tensor({1.0, -1.0}, at::kDouble);
    activate_(x, activation);
    return std::pair(x[0].item<double>(), x[1].item<double>());
  };
  const auto expect = [&](Activation activation, double one, double minus_one) {
    const auto [got, got_minus] = at_one(activation);
    CHECK(got == doctest::Approx(one).epsilon(1e-6));
    CHECK(got_minus == doctest::Approx(minus_one).epsilon(1e-6));
  };
  expect(Activation::Silu, 0.7310586, -0.2689414);
  expect(Activation::Gelu, 0.8413447, -0.1586553);
  expect(Activation::GeluTanh, 0.8411920, -0.1588080);
  expect(Activation::QuickGelu, 0.8457958, -0.1542042);
  expect(Activation::Relu, 1, 0);
  expect(Activation::Mish, 0.8650984, -0.3034015);
}

TEST_CASE("a map's way to tokens and back is free in the layout of maps") {
  const c10::InferenceMode inference;
  const at::Tensor map = in_map_layout(at::randn({2, 3, 4, 5}));
  const at::Tensor tokens = tokens_of(map);
  CHECK(tokens.sizes() == at::IntArrayRef({2, 20, 3}));
  CHECK(tokens.const_data_ptr() == map.const_data_ptr());
  CHECK(map_of(tokens, 4, 5).equal(map));
  CHECK(map_of(tokens, 4, 5).const_data_ptr() == map.const_data_ptr());
  CHECK(tokens_of(map.contiguous()).equal(tokens));
}

TEST_CASE("upsampling to an odd size takes the nearest of the smaller map") {
  const c10::InferenceMode inference;
  const at::Tensor x = at::arange(2, at::kFloat).view({1, 1, 1, 2});
  CHECK(upsample(x, 1, 3).equal(at::tensor({0.0F, 0.0F, 1.0F}).view({1, 1, 1, 3})));
}

TEST_CASE("the sinusoid of a time begins with cosines of the fastest frequency when flipped") {
  const std::vector<float> flipped = sinusoid(2, {.width = 5, .flip_sin_to_cos = true});
  CHECK(flipped[0] == doctest::Approx(std::cos(2.0)));
  CHECK(flipped[1] == doctest::Approx(std::cos(0.02)));
  CHECK(flipped[2] == doctest::Approx(std::sin(2.0)));
  CHECK(flipped[3] == doctest::Approx(std::sin(0.02)));
  CHECK(flipped[4] == 0);
  const std::vector<float> plain =
      sinusoid(2, {.width = 4, .flip_sin_to_cos = false, .freq_shift = 1});
  CHECK(plain[0] == doctest::Approx(std::sin(2.0)));
  CHECK(plain[1] == doctest::Approx(std::sin(0.0002)));
}

TEST_CASE("a layer made from a header alone reports what is missing and misshapen") {
  WeightSet set{.place = "model/unet", .weights = {}};
  set.weights["conv.weight"] = {{{8, 4, 1, 1}, at::kFloat}, {}};
  const WeightView view(std::make_shared<const WeightSet>(set));
  const Conv2d layer(view.scope("conv"), {.in = 4, .out = 8});
  CHECK(!layer.weight.data.defined());
  CHECK_THROWS_WITH_AS(view.finish(),
                       "model/unet: weights and config are at odds: 1 tensors missing: 'conv.bias' "
                       "[8]; 1 tensors of another shape: 'conv.weight' expected [8, 4, 3, 3], got "
                       "[8, 4, 1, 1]; fetch the folder again, or take the config that belongs to "
                       "the file",
                       WeightError);
}

TEST_CASE("layers ask for packed weights in a forecast, norms do not") {
  auto header = std::make_shared<WeightSet>();
  header->header_only = true;
  header->weights["a.weight"] = {{{4, 4, 1, 1}, at::kFloat}, {}, Packing::Int8};
  header->weights["c.weight"] = {{{4, 4, 3, 3}, at::kFloat}, {}, Packing::Int8};
  for (const char* name : {"a.bias", "c.bias", "n.weight", "n.bias"})
    header->weights[name] = {{{4}, at::kFloat}, {}};
  const WeightView view(header);
  const Linear linear(view.scope("a"), 4, 4);
  const Conv2d conv(view.scope("c"), {.in = 4, .out = 4});
  const LayerNorm norm(view.scope("n"), 4, 1e-5);
  CHECK(view.use().packed == std::set<std::string, std::less<>>{"a.weight", "c.weight"});
  CHECK(linear.weight.spec.shape == std::vector<std::int64_t>{4, 4});
}

}  // namespace
}  // namespace emulsion::models

#include "models/packed_layers.h"

#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "fakes/packed.h"
#include "fakes/reference.h"

namespace emulsion::models {
namespace {

constexpr c10::ScalarType kDtypes[] = {at::kFloat, at::kBFloat16};

// Distance in parts of the largest result.  What is widened does not round its weights to bfloat16.
double error(const at::Tensor& y, const at::Tensor& wanted) {
  return fakes::distance(y, wanted) / wanted.abs().max().item<double>();
}

double tolerance(c10::ScalarType dtype) { return dtype == at::kFloat ? 1e-5 : 0.01; }

TEST_CASE("a packed linear layer is one with the unpacked weight, also by tiles") {
  const c10::InferenceMode inference;
  for (const c10::ScalarType dtype : kDtypes)
    for (const Packing packing : fakes::kPackings)
      for (const std::int64_t out : {24, 2000}) {
        CAPTURE(to_text(packing));
        CAPTURE(out);
        const Weight weight = fakes::random_packed({out, 640}, packing, dtype);
        const at::Tensor x = at::randn({2, 5, 640}).to(dtype), bias = at::randn({out}).to(dtype);
        const at::Tensor wanted = linear(x, fakes::unpacked_weight(weight).data, bias);
        const at::Tensor y = linear(x, weight, bias);
        CHECK((y.scalar_type() == dtype));
        CHECK(error(y, wanted) < tolerance(dtype));
        CHECK(error(linear(x, weight, at::Tensor()), wanted.sub(bias)) < 2 * tolerance(dtype));
      }
  CHECK(unpacked_outputs(640, 2000) < 2000);
}

TEST_CASE("a packed convolution is one with the unpacked weight") {
  const c10::InferenceMode inference;
  for (const c10::ScalarType dtype : kDtypes)
    for (const std::int64_t side : {6, 40})  // the plain form, and by tiles
      for (const std::int64_t stride : {1, 2}) {
        CAPTURE(side);
        CAPTURE(stride);
        const ConvShape shape{.in = 64, .out = 48, .stride = stride};
        const Weight weight = fakes::random_packed({48, 64, 3, 3}, Packing::Q5_1, dtype);
        const at::Tensor x = in_map_layout(at::randn({1, 64, side, side}).to(dtype));
        const at::Tensor bias = at::randn({48}).to(dtype);
        const at::Tensor wanted = conv2d(x, fakes::unpacked_weight(weight).data, bias, shape);
        CHECK(error(conv2d(x, weight, bias, shape), wanted) < tolerance(dtype));
      }
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

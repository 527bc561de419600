#include "models/low_rank.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include "fakes/branches.h"
#include "fakes/reference.h"
#include "models/cost.h"

namespace emulsion::models {
namespace {

// One layer's weights with two branches beside them.
std::shared_ptr<const WeightSet> layer(const std::vector<std::int64_t>& shape) {
  auto set = std::make_shared<WeightSet>();
  set->place = "test";
  const Weight& weight = set->weights["weight"] = fakes::random_weight(shape, at::kFloat);
  set->weights["bias"] = fakes::random_weight({shape[0]}, at::kFloat);
  set->branches["weight"] = {fakes::random_branch(weight, 3, 0.5),
                             fakes::random_branch(weight, 1, -2)};
  return set;
}

// The weight with its branches applied: W + scale * up @ down.
at::Tensor merged(const WeightSet& set) {
  at::Tensor weight = set.weights.at("weight").data.flatten(1).clone();
  for (const Branch& branch : set.branches.at("weight"))
    weight += branch.up.data.flatten(1).mm(branch.down.data.flatten(1)) * branch.scale;
  return weight.view(set.weights.at("weight").spec.shape);
}

TEST_CASE("a linear layer with branches is one with the changed weight") {
  const c10::InferenceMode inference;
  for (const std::vector<std::int64_t>& shape :
       {std::vector<std::int64_t>{20, 12}, std::vector<std::int64_t>{20, 12, 1, 1}}) {
    const auto set = layer(shape);
    const Linear linear(WeightView(set), 12, 20);
    const at::Tensor x = at::randn({2, 5, 12}), bias = set->weights.at("bias").data;
    const at::Tensor weight = merged(*set).flatten(1);
    CHECK(fakes::distance(linear(x), at::linear(x, weight, bias)) < 1e-5);
    CHECK(fakes::distance(linear(x), at::linear(x, linear.weight.data, bias)) > 0.1);
  }
}

TEST_CASE("a convolution with branches is one with the changed weight, in either layout") {
  const c10::InferenceMode inference;
  const auto set = layer({20, 12, 3, 3});
  const at::Tensor bias = set->weights.at("bias").data;
  for (const std::int64_t stride : {1, 2})
    for (const bool channels_last : {true, false}) {
      CAPTURE(stride);
      CAPTURE(channels_last);
      const Conv2d conv(WeightView(set), {.in = 12, .out = 20, .stride = stride});
      const at::Tensor map = at::randn({2, 12, 16, 18});
      const at::Tensor wanted = at::conv2d(map, merged(*set), bias, stride, 1);
      CHECK(fakes::distance(conv(channels_last ? in_map_layout(map) : map), wanted) < 1e-4);
    }
}

TEST_CASE("a branch may have a shape that large maps are convolved by tiles in") {
  const c10::InferenceMode inference;
  auto set = std::make_shared<WeightSet>();
  const Weight& weight = set->weights["weight"] = fakes::random_weight({64, 64, 3, 3}, at::kFloat);
  set->weights["bias"] = fakes::random_weight({64}, at::kFloat);
  set->branches["weight"] = {fakes::random_branch(weight, 64, 0.5)};
  const Conv2d conv(WeightView(set), {.in = 64, .out = 64});
  const at::Tensor map = at::randn({1, 64, 96, 96});
  const at::Tensor wanted = at::conv2d(map, merged(*set), set->weights.at("bias").data, 1, 1);
  CHECK(fakes::distance(conv(in_map_layout(map)), wanted) < 1e-3);
}

TEST_CASE("layers ask for their branches in a forecast, norms do not") {
  auto header = std::make_shared<WeightSet>();
  header->header_only = true;
  header->weights["a.weight"] = {{{4, 4}, at::kFloat}, {}};
  header->weights["a.bias"] = header->weights["n.weight"] =
      header->weights["n.bias"] = {{{4}, at::kFloat}, {}};
  const Branch branch{.down = {{{2, 4}, at::kFloat}, {}}, .up = {{{4, 2}, at::kFloat}, {}}};
  header->branches["a.weight"] = {branch};
  const WeightView view(header);
  const Linear linear(view.scope("a"), 4, 4);
  const LayerNorm norm(view.scope("n"), 4, 1e-5);
  CHECK(linear.branches.empty());
  CHECK(view.use().branched == std::set<std::string, std::less<>>{"a.weight"});
  const BranchLoad load = branch_load(view);
  CHECK(load.linears.parameters == 1);  // 16 beside 16
  CHECK(load.linears.count == 1);
  CHECK(load.linears.rank == 2);
  CHECK(load.convolutions.rank == 0);
}

}  // namespace
}  // namespace emulsion::models

#include "emulsion/weights.h"

#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include "check.h"

#include <vector>

#include "emulsion/errors.h"

using namespace emulsion;

namespace {

WeightView view(const std::vector<std::pair<std::string, std::vector<std::int64_t>>>& tensors) {
  auto set = std::make_shared<WeightSet>();
  set->place = "model/unet";
  for (const auto& [name, shape] : tensors) set->weights[name].spec = {shape, at::kFloat};
  return WeightView(set);
}

}  // namespace

TEST_CASE("a model that asks for every tensor by its shape finds no fault") {
  const WeightView weights = view({{"conv.weight", {4, 3}}, {"conv.bias", {4}}});
  const WeightView conv = weights.scope("conv");
  CHECK_FALSE(conv.tensor("weight", {4, 3}).defined());  // a header has no data
  conv.tensor("bias", {4});
  CHECK_NOTHROW(weights.finish());
}

TEST_CASE("missing, misshapen and extra tensors are told together") {
  const WeightView weights = view({{"a", {2}}, {"b", {2, 2}}, {"c", {1}}});
  weights.tensor("a", {3});
  weights.tensor("d", {7});
  CHECK_THROWS_WITH_AS(
      weights.finish(),
      "model/unet: weights and config are at odds: 1 tensors missing: 'd' [7]; 1 tensors of "
      "another "
      "shape: 'a' expected [3], got [2]; 2 tensors that the config does not call for: 'b', 'c'; "
      "fetch the folder again, or take the config that belongs to the file",
      WeightError);
}

TEST_CASE("many faults are counted after the first three") {
  const WeightView weights = view({});
  for (const char* name : {"a", "b", "c", "d", "e"}) weights.tensor(name, {1});
  CHECK_THROWS_WITH_AS(weights.finish(),
                       doctest::Contains("5 tensors missing: 'a' [1], 'b' [1], 'c' [1] and 2 more"),
                       WeightError);
}

TEST_CASE("what is ignored counts as used") {
  const WeightView weights = view({{"x.position_ids", {1, 77}}});
  weights.ignore({"position_ids"});
  CHECK_NOTHROW(weights.finish());
}

TEST_CASE("tensors are lasting outside of blocks, and else of the block that asks for them") {
  const WeightView weights =
      view({{"conv_in", {1}}, {"down.a", {2}}, {"down.b", {3}}, {"up", {4}}});
  weights.tensor("conv_in", {1});
  const WeightView down = weights.block().scope("down"), up = weights.block();
  up.tensor("up", {4});
  down.tensor("b", {3});
  down.tensor("a", {2});
  CHECK(weights.use().lasting == std::vector<std::string>{"conv_in"});
  CHECK(down.use().blocks == std::vector<std::vector<std::string>>{{"down.b", "down.a"}, {"up"}});
  CHECK_NOTHROW(weights.finish());
}

TEST_CASE("a tensor that two blocks ask for is of both, however often they do") {
  const WeightView weights = view({{"tied", {1}}});
  const WeightView first = weights.block(), second = weights.block();
  for (const WeightView& block : {first, second, first}) block.tensor("tied", {1});
  CHECK(weights.use().blocks == std::vector<std::vector<std::string>>{{"tied"}, {"tied"}});
  CHECK(weights.use().lasting.empty());
}

TEST_CASE("a tensor without data comes through the stream, and others do not") {
  struct Stream final : WeightStream {
    at::Tensor fetch(const std::string& name) override {
      asked.push_back(name);
      return at::ones({2});
    }
    std::vector<std::string> asked;
  };
  const auto stream = std::make_shared<Stream>();
  auto set = std::make_shared<WeightSet>();
  set->weights["here"] = {{{2}, at::kFloat}, at::zeros({2})};
  set->weights["below.there"] = {{{2}, at::kFloat}, {}};
  set->stream = stream;
  const WeightView weights(set);
  CHECK(weights.tensor("here", {2}).sum().item<float>() == 0);
  CHECK(weights.scope("below").tensor("there", {2}).sum().item<float>() == 2);
  CHECK(stream->asked == std::vector<std::string>{"below.there"});
}

TEST_CASE("a weight may be left packed unless somebody asks for the tensor") {
  const WeightView weights = view({{"a", {4, 3}}, {"b", {4, 3}}, {"c", {4, 3}}});
  weights.packed("a", {4, 3});
  weights.packed("b", {4, 3});
  weights.tensor("b", {4, 3});
  weights.tensor("c", {4, 3});
  weights.packed("c", {4, 3});
  CHECK(weights.use().packed == std::set<std::string, std::less<>>{"a"});
  CHECK(weights.use().lasting == std::vector<std::string>{"a", "b", "c"});
  CHECK_NOTHROW(weights.finish());
}

TEST_CASE("a packed weight is told apart from its tensor, which is refused") {
  auto set = std::make_shared<WeightSet>();
  set->place = "model/unet";
  const Weight packed{{{4, 3}, at::kFloat}, packed_int8(at::ones({4, 3})), Packing::Int8};
  set->weights["a"] = packed;
  const WeightView weights(set);
  const Weight weight = weights.packed("a", {4, 3});
  CHECK((weight.packing == Packing::Int8));
  CHECK(weight.spec == packed.spec);
  CHECK(weight.data.is_same(packed.data));
  CHECK_THROWS_WITH_AS(weights.tensor("a", {4, 3}),
                       "model/unet: tensor 'a' is packed as int8: expected one that the node's "
                       "forecast asks for as a tensor; ask for the same in forecast and run",
                       WeightError);
}

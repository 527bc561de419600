#include "emulsion/weights.h"

#include "check.h"
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

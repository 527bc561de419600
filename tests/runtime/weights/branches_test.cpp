#include "weights/branches.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include "check.h"

#include "runtime/weights/scratch.h"
#include "weights/adapter.h"
#include "weights/safetensors.h"
#include "weights/safetensors_writer.h"
#include "weights/weight_store.h"

using namespace emulsion;
namespace fs = std::filesystem;

namespace {

using Names = std::set<std::string, std::less<>>;

// Changes of "a.weight" and "b.weight" by pairs of low rank, and of "c.weight" by a difference.
std::shared_ptr<const Adapter> adapter(const std::string& identity) {
  Adapter made{.file = "a.safetensors",
               .identity = identity,
               .parts = {},
               .unmatched = {},
               .embeddings = {}};
  auto& unet = made.parts["unet"];
  for (const char* name : {"a.weight", "b.weight"})
    unet.emplace(name, WeightChange(LowRank{at::ones({2, 4}), at::ones({3, 2}), {}, 0.5}));
  unet.emplace("c.weight", WeightChange(Difference{at::ones({3, 4})}));
  return std::make_shared<const Adapter>(made);
}

class Base {
 public:
  Base() {
    fs::create_directories(scratch_.folder() / "unet");
    save_safetensors(scratch_.folder() / "unet/model.safetensors",
                     {{"a.weight", at::randn({3, 4})},
                      {"b.weight", at::randn({3, 4})},
                      {"c.weight", at::randn({3, 4})}});
  }

  OpenComponent open(const std::vector<double>& strengths) const {
    OpenComponent component = open_component(scratch_.folder(), "unet");
    for (const double strength : strengths)
      component.changes.push_back(
          Adaptation{adapter("x"),
                     "unet",
                     {{"a.weight", strength}, {"b.weight", strength}, {"c.weight", strength}}});
    return component;
  }

 private:
  Scratch scratch_;
};

const Adaptation& adaptation_of(const OpenComponent& component, std::size_t i) {
  return std::get<Adaptation>(component.changes.at(i));
}

}  // namespace

TEST_CASE("changes of low rank go beside weights that take them, all others stay") {
  const Base base;
  const auto parts = divided(base.open({2}), Names{"a.weight", "c.weight"});
  REQUIRE(parts);
  REQUIRE(parts->branches.branches.size() == 1);
  CHECK(parts->branches.branches[0].weight == "a.weight");
  CHECK(parts->branches.branches[0].scale == 2 * 0.5);
  REQUIRE(parts->weights.changes.size() == 1);
  CHECK(adaptation_of(parts->weights, 0).strengths ==
        std::map<std::string, double, std::less<>>{{"b.weight", 2}, {"c.weight", 2}});
  CHECK_FALSE(divided(base.open({2}), Names{"c.weight"}));
  CHECK_FALSE(divided(base.open({}), Names{"a.weight"}));
}

TEST_CASE("weights without changes of their own are the base's, whatever the strength") {
  const Base base;
  OpenComponent one = base.open({1}), two = base.open({2});
  for (OpenComponent* open : {&one, &two})
    std::get<Adaptation>(open->changes[0]).strengths.erase("c.weight");
  const Names both{"a.weight", "b.weight"};
  const auto weak = divided(one, both), strong = divided(two, both);
  REQUIRE(weak);
  REQUIRE(strong);
  CHECK(identity_of(weak->weights) == identity_of(base.open({})));
  CHECK(identity_of(strong->weights) == identity_of(base.open({})));
  CHECK(identity_of(weak->branches) != identity_of(strong->branches));
  CHECK(identity_of(weak->branches) == identity_of(divided(one, both)->branches));
}

TEST_CASE("several adapters lie beside one weight, but none from before a blend") {
  const Base base;
  const auto two = divided(base.open({1, -3}), Names{"b.weight"});
  REQUIRE(two);
  REQUIRE(two->branches.branches.size() == 2);
  CHECK(two->branches.branches[1].scale == -1.5);
  OpenComponent mixed = base.open({1});
  mixed.changes.push_back(Blend{std::make_shared<OpenComponent>(base.open({})), 0.5});
  CHECK_FALSE(divided(mixed, Names{"b.weight"}));
}

TEST_CASE("branches are loaded as a component of their own, and join their weights") {
  const Base base;
  const auto parts = divided(base.open({1, 1}), Names{"a.weight", "b.weight"});
  REQUIRE(parts);
  const OpenComponent& open = parts->branches;
  const auto set = load(open, all_of(open), WeightPlace{}, at::kBFloat16);
  CHECK(set->weights.size() == 8);
  const auto header = header_of(open, at::kBFloat16);
  for (const auto& [name, weight] : set->weights) {
    CHECK((weight.data.scalar_type() == at::kBFloat16));
    CHECK((header->weights.at(name).spec == weight.spec));
  }
  const auto weights = load(parts->weights, {{"a.weight"}, {}}, WeightPlace{}, at::kBFloat16);
  const auto joined = with_branches(*weights, *set, open);
  CHECK(joined->branches.at("a.weight").size() == 2);
  CHECK(at::equal(joined->branches.at("b.weight")[1].down.data, at::ones({2, 4}, at::kBFloat16)));
  CHECK(joined->weights.at("a.weight").data.is_same(weights->weights.at("a.weight").data));
  CHECK(read_cost(open, all_of(open).lasting, at::kBFloat16).staging == 0);
}

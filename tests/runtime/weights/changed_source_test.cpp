#include "weights/changed_tensor.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include "check.h"

#include "emulsion/errors.h"
#include "fakes/reference.h"
#include "memory/memory_meter.h"
#include "runtime/weights/scratch.h"
#include "weights/adapter.h"
#include "weights/safetensors.h"
#include "weights/safetensors_writer.h"

using namespace emulsion;
namespace fs = std::filesystem;

namespace {

OpenComponent component_of(const Scratch& scratch, const std::string& model,
                           const std::map<std::string, at::Tensor>& tensors) {
  install_memory_meter();
  fs::create_directories(scratch.folder() / model / "unet");
  save_safetensors(scratch.folder() / model / "unet/model.safetensors", tensors);
  return open_component(scratch.folder() / model, "unet");
}

OpenComponent blended(OpenComponent a, const OpenComponent& b, double ratio) {
  a.changes.push_back(Blend{std::make_shared<OpenComponent>(b), ratio});
  return a;
}

// A change of `weight` by up @ down.
Adaptation adaptation(const std::string& weight, const at::Tensor& down, const at::Tensor& up,
                      double strength) {
  Adapter adapter{
      .file = "a.safetensors", .identity = "a", .parts = {}, .unmatched = {}, .embeddings = {}};
  adapter.parts["unet"].emplace(weight, WeightChange(LowRank{down, up, {}, 1}));
  return {std::make_shared<const Adapter>(adapter), "unet", {{weight, strength}}};
}

at::Tensor loaded(const OpenComponent& open, const std::string& name,
                  c10::ScalarType dtype = at::kFloat, MemoryMeter* meter = nullptr) {
  return load(open, all_of(open), WeightPlace{.meter = meter}, dtype)->weights.at(name).data;
}

bool is_view_of_file(const at::Tensor& tensor) { return !tensor.storage().resizable(); }

}  // namespace

TEST_CASE("a blend is the sum by weights in float32, and integers stay") {
  const Scratch scratch;
  const at::Tensor x = at::randn({40, 30}), y = at::randn({40, 30});
  const OpenComponent a =
      component_of(scratch, "a", {{"w", x.to(at::kHalf)}, {"n", at::arange(4)}});
  const OpenComponent b = component_of(scratch, "b", {{"w", y}, {"n", at::arange(4).add(1)}});
  const OpenComponent mix = blended(a, b, 0.25);
  const at::Tensor wanted = x.to(at::kHalf).to(at::kFloat).mul(0.75).add(y, 0.25);
  CHECK(fakes::distance(loaded(mix, "w"), wanted) < 1e-6);
  CHECK(at::equal(loaded(mix, "w", at::kBFloat16), loaded(mix, "w").to(at::kBFloat16)));
  CHECK(at::equal(loaded(mix, "n"), at::arange(4)));
  const OpenComponent again = blended(mix, mix, 0.5);  // of blends
  CHECK(fakes::distance(loaded(again, "w"), wanted) < 1e-6);
}

TEST_CASE("what an adapter changes is read changed, and all else is still mapped") {
  const Scratch scratch;
  const at::Tensor x = at::randn({8, 6}), down = at::randn({2, 6}), up = at::randn({8, 2});
  OpenComponent open = component_of(scratch, "a", {{"w", x}, {"v", x}});
  open.changes.push_back(adaptation("w", down, up, 0.5));
  CHECK(fakes::distance(loaded(open, "w"), x.add(up.mm(down), 0.5)) < 1e-5);
  CHECK(is_view_of_file(loaded(open, "v")));
  CHECK_FALSE(is_view_of_file(loaded(open, "w")));
  const ReadCost cost = read_cost(open, {"v", "w"}, at::kFloat);
  CHECK(cost.mapped == x.nbytes());
  CHECK(cost.changed == 1);
  CHECK(cost.changes.product == 2 * 2 * 8 * 6);  // rank times elements
  CHECK(read_cost(open, {"v"}, at::kFloat).staging == 0);
}

TEST_CASE("changes are made in their order") {
  const Scratch scratch;
  const at::Tensor ones = at::ones({1, 1});
  OpenComponent open = component_of(scratch, "a", {{"w", ones}});
  const OpenComponent other = component_of(scratch, "b", {{"w", at::full({1, 1}, 8.0)}});
  open.changes.push_back(adaptation("w", ones, ones, 3));                      // 4
  open.changes.push_back(Blend{std::make_shared<OpenComponent>(other), 0.5});  // 6
  open.changes.push_back(adaptation("w", ones, ones, -1));                     // 5
  CHECK(loaded(open, "w").item<float>() == 5);
}

TEST_CASE("no more is held than the weights and the staging that was told") {
  const Scratch scratch;
  const at::Tensor x = at::randn({512, 600});
  const OpenComponent a = component_of(scratch, "a", {{"w", x}, {"v", x}, {"u", x}});
  OpenComponent open = blended(a, component_of(scratch, "b", {{"w", x}, {"v", x}, {"u", x}}), 0.5);
  open.changes.push_back(adaptation("w", at::randn({4, 600}), at::randn({512, 4}), 1));
  for (const c10::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const ReadCost cost = read_cost(open, {"u", "v", "w"}, dtype);
    const Bytes weights = 3 * x.numel() * static_cast<Bytes>(c10::elementSize(dtype));
    MemoryMeter meter(c10::kCPU);
    meter.set_limit(weights + cost.staging);
    {
      const auto set = load(open, all_of(open), WeightPlace{.meter = &meter}, dtype);
      CHECK(meter.used() >= weights);
      CHECK(meter.used() < weights + kMiB / 16);
    }
    CHECK(meter.used() == 0);
    CHECK(meter.peak() > weights);
    CHECK(cost.staging == cost.changing + kStagingBytes);
  }
}

TEST_CASE("blocks stream with their changes") {
  const Scratch scratch;
  const at::Tensor x = at::randn({8, 6});
  const OpenComponent mix = blended(component_of(scratch, "a", {{"u", x}, {"v", x.add(1)}}),
                                    component_of(scratch, "b", {{"u", x}, {"v", x.sub(1)}}), 0.5);
  const auto set =
      load(mix, {.lasting = {}, .blocks = {{"u"}, {"v"}}, .prefetch = true}, {}, at::kFloat);
  for (int pass = 0; pass < 2; ++pass) {
    CHECK(fakes::distance(set->stream->fetch("u"), x) < 1e-6);
    CHECK(fakes::distance(set->stream->fetch("v"), x) < 1e-6);
  }
}

TEST_CASE("ratios, strengths and files of changes tell components apart") {
  const Scratch scratch;
  const at::Tensor ones = at::ones({1, 1});
  const OpenComponent a = component_of(scratch, "a", {{"w", ones}});
  const OpenComponent b = component_of(scratch, "b", {{"w", ones}});
  const auto adapted = [&](double strength) {
    OpenComponent open = a;
    open.changes.push_back(adaptation("w", ones, ones, strength));
    return identity_of(open);
  };
  CHECK(identity_of(blended(a, b, 0.5)) == identity_of(blended(a, b, 0.5)));
  CHECK(identity_of(blended(a, b, 0.5)) != identity_of(blended(a, b, 0.25)));
  CHECK(identity_of(blended(a, b, 0.5)) != identity_of(blended(a, a, 0.5)));
  CHECK(adapted(0.5) == adapted(0.5));
  CHECK(adapted(0.5) != adapted(0.25));
  CHECK(adapted(0.5) != identity_of(a));
}

#include "exec/adapter_forms.h"

#include <ATen/ops/ones.h>

#include "check.h"
#include "emulsion/errors.h"
#include "fakes/fake_model.h"
#include "weights/adapter.h"

using namespace emulsion;

namespace {

constexpr std::int64_t kOut = 1280, kIn = 1024, kRank = 64;

// Its weight takes branches; with one beside it, a run computes `branch_work` more.
NodeDescriptor unet(double branch_work) {
  const auto forecast = [branch_work](const ForecastContext& context) {
    const WeightView weights = context.weights("unet");
    weights.tensor("w", {kOut, kIn});
    Forecast result{{{"denoised", fakes::mib(1)}}, 0};
    if (!weights.branches("w").empty()) result.work.product = branch_work;
    return result;
  };
  return fakes::with(fakes::unet_node(), forecast, [](RunContext&) {});
}

WeightChange low_rank() {
  return WeightChange(LowRank{at::ones({kRank, kIn}), at::ones({kOut, kRank}), {}, 1});
}

// The fake pipeline on a model whose UNet an adapter changes.
class Setup {
 public:
  explicit Setup(double branch_work, const WeightChange& change = low_rank())
      : pipeline_({unet(branch_work)}) {
    model_.save("unet", {{"w", at::ones({kOut, kIn})}});
    Adapter adapter{.file = "a", .identity = "a", .parts = {}, .unmatched = {}, .embeddings = {}};
    adapter.parts["unet"].emplace("w", change);
    setup.graph = pipeline_.graph;
    setup.nodes = make_nodes(setup.graph);
    setup.components = model_.open(setup.graph);
    for (std::size_t i = 0; i < setup.components.size(); ++i)
      if (setup.graph.components[i].part == "unet")
        setup.components[i].changes.push_back(
            Adaptation{std::make_shared<const Adapter>(adapter), "unet", {{"w", 1}}});
    setup.forecasts =
        forecast_of(setup.graph, setup.nodes, setup.components, c10::ScalarType::Float);
    setup.plan = fakes::Pipeline::request({{.name = "cpu", .capacity = 100 * kMiB}});
  }

  // The component that lies beside the UNet, or null.
  const ComponentRef* branches() const {
    for (const ComponentRef& ref : setup.graph.components)
      if (ref.beside) return &ref;
    return nullptr;
  }

  std::size_t changed() const {
    std::size_t changed = 0;
    for (const ComponentForecast& component : setup.forecasts.components)
      changed += component.changed;
    return changed;
  }

  ExecutionPlan plan() const { return make_plan(setup.graph, setup.forecasts, setup.plan); }

  RequestSetup setup;

 private:
  fakes::Pipeline pipeline_;
  fakes::Model model_;
};

}  // namespace

TEST_CASE("branches that cost less than changing the weights run beside them") {
  Setup made(0);
  CHECK(made.changed() == 1);
  const double merged = made.plan().seconds;
  choose_adapter_forms(made.setup, false);
  REQUIRE(made.branches() != nullptr);
  CHECK(made.branches()->name == "sd.unet.lora");
  CHECK(made.setup.graph.component(*made.branches()->beside).name == "sd.unet");
  CHECK(made.changed() == 0);
  CHECK(made.setup.forecasts.components.back().bytes == kRank * (kIn + kOut) * 4);
  CHECK(made.plan().seconds < merged);
  CHECK(to_text(made.plan(), made.setup.graph).find("sd.unet.lora") != std::string::npos);
}

TEST_CASE("weights are changed where branches would cost more") {
  Setup made(1e15);
  choose_adapter_forms(made.setup, false);
  CHECK(made.branches() == nullptr);
  CHECK(made.changed() == 1);
  CHECK(to_text(made.plan(), made.setup.graph).find(", changes 1 tensor") != std::string::npos);
}

TEST_CASE("a session that keeps its weights leaves them as they are") {
  Setup made(1e15);
  choose_adapter_forms(made.setup, true);
  CHECK(made.branches() != nullptr);
}

TEST_CASE("whichever form fits is taken") {
  Setup made(0);
  // To change the weights takes two of their size besides, and their branches less.
  made.setup.plan.devices.back().capacity = 14 * kMiB;
  CHECK_THROWS_AS(made.plan(), PlanError);
  choose_adapter_forms(made.setup, false);
  CHECK(made.branches() != nullptr);
  CHECK_NOTHROW(made.plan());
}

TEST_CASE("other forms than low rank are applied to the weights") {
  Setup made(0, WeightChange(Difference{at::ones({kOut, kIn})}));
  choose_adapter_forms(made.setup, true);
  CHECK(made.branches() == nullptr);
  CHECK(made.changed() == 1);
}

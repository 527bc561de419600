#include <algorithm>

#include "check.h"
#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "fakes/fake_model.h"

// Every way in which weights and values get about, on devices with budgets of their own.

using namespace emulsion;

namespace {

template <class Kind>
std::size_t count_steps(const std::vector<Step>& steps) {
  std::size_t count = 0;
  for (const Step& step : steps) {
    if (std::holds_alternative<Kind>(step)) ++count;
    if (const auto* loop = std::get_if<RunLoop>(&step)) count += count_steps<Kind>(loop->body);
  }
  return count;
}

std::vector<LoadWeights> loads_of(const std::vector<Step>& steps) {
  std::vector<LoadWeights> loads;
  for (const Step& step : steps) {
    if (const auto* load = std::get_if<LoadWeights>(&step)) loads.push_back(*load);
    if (const auto* loop = std::get_if<RunLoop>(&step))
      for (const LoadWeights& load : loads_of(loop->body)) loads.push_back(load);
  }
  return loads;
}

void check_run(const fakes::FakeRun& run) {
  CHECK(run.pixel == fakes::expected_pixel());
  CHECK(run.left == 0);
  CHECK(run.report.replans.empty());
  for (const RunReport::Device& device : run.report.devices) {
    CAPTURE(device.name);
    CHECK(device.measured_peak <= device.planned_peak);
    CHECK(device.planned_peak <= device.budget);
  }
}

// A plan of all steps of the kinds that only several devices have, written by hand.
class HandPlan {
 public:
  HandPlan(const fakes::Pipeline& pipeline, const PlanRequest& request, const Forecasts& forecasts)
      : graph_(pipeline.graph) {
    for (const DeviceBudget& device : request.devices)
      plan_.devices.push_back({device, device.capacity});
    for (const ComponentForecast& component : forecasts.components)
      plan_.uses.push_back(component.use);
  }

  ComponentId component(const std::string& part) const {
    const auto found = std::ranges::find(graph_.components, part, &ComponentRef::part);
    return static_cast<ComponentId>(found - graph_.components.begin());
  }
  ValueId value(const std::string& name) const {
    const auto found = std::ranges::find(graph_.values, name, &ValueInfo::name);
    REQUIRE(found != graph_.values.end());
    return static_cast<ValueId>(found - graph_.values.begin());
  }
  NodeId node(const std::string& name) const {
    const auto found = std::ranges::find(graph_.nodes, name, &GraphNode::name);
    return static_cast<NodeId>(found - graph_.nodes.begin());
  }
  RunNode run(const std::string& name, DeviceId device, const std::string& variant) const {
    RunNode step;
    step.node = node(name);
    step.device = device;
    step.variant = variant;
    return step;
  }

  ExecutionPlan plan_;

 private:
  const Graph& graph_;
};

constexpr DeviceId kLogical{0}, kHost{1};

LoadWeights load(ComponentId component, DeviceId device, std::optional<DeviceId> from = {},
                 std::vector<std::size_t> streamed = {}) {
  LoadWeights step;
  step.component = component;
  step.device = device;
  step.from = from;
  step.streamed = std::move(streamed);
  return step;
}

}  // namespace

TEST_CASE("weights are parked, come back, stream from the host, and values go to and fro") {
  const fakes::Pipeline pipeline({fakes::block_unet_node()});
  const fakes::Model model(fakes::Model::Unet::Blocks);
  const PlanRequest request = fakes::beside_host(20 * kMiB, 40 * kMiB);
  HandPlan h(pipeline, request, model.forecasts(pipeline));
  const ComponentId clip = h.component("clip"), unet = h.component("unet"),
                    vae = h.component("vae");
  const ValueId latent = h.value("denoise.carry.latent"),
                history = h.value("denoise.carry.history");
  RunLoop loop{LoopId{0}, 0, 3, {}};
  loop.body = {load(unet, kLogical, kHost, {1, 3}),
               h.run("denoise.unet", kLogical, "lean"),
               EvictWeights{unet, kLogical},
               CopyValue{h.value("denoise.unet.denoised"), kLogical, kHost},
               FreeValue{h.value("denoise.unet.denoised"), kLogical},
               CopyValue{history, kLogical, kHost},
               h.run("denoise.step", kHost, "default"),
               FreeValue{history, kHost},
               CopyValue{h.value("denoise.step.latent"), kHost, kLogical},
               CopyValue{h.value("denoise.step.history"), kHost, kLogical},
               BindValues{{{latent, h.value("denoise.step.latent"), kLogical},
                           {history, h.value("denoise.step.history"), kLogical}}},
               FreeValue{h.value("denoise.step.latent"), kLogical},
               FreeValue{h.value("denoise.step.history"), kLogical},
               FreeValue{h.value("denoise.step.latent"), kHost},
               FreeValue{h.value("denoise.step.history"), kHost},
               FreeValue{h.value("denoise.unet.denoised"), kHost},
               TrimMemory{kLogical}};
  h.plan_.steps = {load(clip, kLogical),
                   load(clip, kHost, kLogical),  // parked
                   EvictWeights{clip, kLogical},
                   load(clip, kLogical, kHost),  // and back
                   EvictWeights{clip, kHost},
                   h.run("encode", kLogical, "default"),
                   EvictWeights{clip, kLogical},
                   h.run("noise", kHost, "default"),
                   CopyValue{h.value("noise.latent"), kHost, kLogical},
                   load(unet, kHost),
                   BindValues{{{latent, h.value("noise.latent"), kLogical}}},
                   FreeValue{h.value("noise.latent"), kHost},
                   FreeValue{h.value("noise.latent"), kLogical},
                   loop,
                   BindValues{{{h.value("denoise.latent"), latent, kLogical}}},
                   FreeValue{latent, kLogical},
                   FreeValue{history, kLogical},
                   EvictWeights{unet, kHost},
                   load(vae, kLogical, {}, {}),
                   h.run("decode", kLogical, "default"),
                   EvictWeights{vae, kLogical},
                   CopyValue{h.value("decode.image"), kLogical, kHost},
                   FreeValue{h.value("decode.image"), kLogical}};
  const fakes::FakeRun run = fakes::run(pipeline, model, request, h.plan_);
  check_run(run);
  const auto parked = run.report.transfers.at(1);
  CHECK(parked.what == "sd.clip");
  CHECK(parked.from == "logical:a");
  CHECK(parked.to == "cpu");
  // clip 4 and its workspace, then unet's lasting 3 blocks and a window of 2 beside 4 values
  CHECK(run.report.devices[0].measured_peak >= 8 * kMiB);
}

TEST_CASE("every pair of budgets gives the same picture within what was planned") {
  const fakes::Pipeline pipeline({fakes::block_unet_node()});
  const fakes::Model model(fakes::Model::Unet::Blocks);
  std::size_t planned = 0, streams = 0, copies = 0, reloads = 0;
  for (Bytes logical = 2; logical <= 14; ++logical)
    for (const Bytes host : {6, 8, 9, 10, 12, 16}) {
      CAPTURE(logical);
      CAPTURE(host);
      const PlanRequest request = fakes::beside_host(logical * kMiB, host * kMiB);
      ExecutionPlan plan;
      try {
        plan = make_plan(pipeline.graph, model.forecasts(pipeline), request);
      } catch (const PlanError&) {
        continue;
      }
      CAPTURE(to_text(plan, pipeline.graph));
      check_run(fakes::run(pipeline, model, request, plan));
      const std::vector<LoadWeights> loads = loads_of(plan.steps);
      ++planned;
      copies += count_steps<CopyValue>(plan.steps);
      streams += std::ranges::any_of(
          loads, [](const LoadWeights& load) { return !load.streamed.empty(); });
      reloads +=
          std::ranges::any_of(loads, [](const LoadWeights& load) { return load.from.has_value(); });
    }
  CHECK(planned > 30);
  CHECK(streams > 3);
  CHECK(copies > planned);
  CHECK(reloads > 0);
}

TEST_CASE("a value that the plan forgot to copy is named") {
  const fakes::Pipeline pipeline;
  const fakes::Model model;
  const PlanRequest request = fakes::beside_host(20 * kMiB, 40 * kMiB);
  HandPlan h(pipeline, request, model.forecasts(pipeline));
  h.plan_.steps = {h.run("noise", kHost, "default"), load(h.component("vae"), kLogical),
                   BindValues{{{h.value("denoise.latent"), h.value("noise.latent"), kHost}}},
                   h.run("decode", kLogical, "default")};
  CHECK_THROWS_WITH_AS(fakes::run(pipeline, model, request, h.plan_),
                       "fake.json: node 'decode': value 'denoise.latent' is on another device; the "
                       "plan lacks a copy of it",
                       RunError);
}

#pragma once

#include <ATen/ops/full.h>

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "emulsion/node.h"
#include "graph/graph_spec.h"
#include "graph/node_catalog.h"
#include "graph/validate.h"
#include "plan/execution_plan.h"

// A pipeline of the usual form with arithmetic of its own and no model: bytes come in whole MiB, so
// that plans can be added up by hand.
namespace emulsion::fakes {

// A node made of two functions.
class FakeNode final : public Node {
 public:
  using ForecastFunction = std::function<Forecast(const ForecastContext&)>;
  using RunFunction = std::function<void(RunContext&)>;
  FakeNode(ForecastFunction forecast, RunFunction run)
      : forecast_(std::move(forecast)), run_(std::move(run)) {}

  Forecast forecast(const ForecastContext& context) const override { return forecast_(context); }
  void run(RunContext& context) const override { run_(context); }

 private:
  ForecastFunction forecast_;
  RunFunction run_;
};

inline NodeDescriptor with(NodeDescriptor node, const FakeNode::ForecastFunction& forecast,
                           const FakeNode::RunFunction& run) {
  node.create = [forecast, run](const Params&) {
    return std::make_unique<FakeNode>(forecast, run);
  };
  return node;
}

inline TensorSpec mib(std::int64_t count) { return {{count * kMiB / 4}, at::kFloat}; }

inline at::Tensor filled(std::int64_t mebibytes, double value) {
  return at::full({mebibytes * kMiB / 4}, value, at::kFloat);
}

inline double first(const at::Tensor& tensor) { return tensor.data_ptr<float>()[0]; }

// The weight 'w' of a component of these fakes.
inline double weight(const RunContext& context, std::string_view slot) {
  return first(context.weight_set(slot).weights.at("w").data);
}

inline constexpr PortType kFakeLatent{"latent", Holding::Tensor, "1 MiB"};
inline constexpr PortType kFakeCondition{"condition", Holding::Tensor, "1 MiB"};

inline NodeDescriptor encode_node() {
  return with(
      {.id = "encode",
       .summary = "Gives the weight of its slot.",
       .outputs = {{"condition", kFakeCondition}},
       .slots = {{"clip", "", true}}},
      [](const ForecastContext&) {
        return Forecast{{{"condition", mib(1)}}, kMiB};
      },
      [](RunContext& context) { context.output("condition", filled(1, weight(context, "clip"))); });
}

inline NodeDescriptor noise_node() {
  return with(
      {.id = "noise",
       .summary = "Gives ones, and the count of iterations.",
       .outputs = {{"latent", kFakeLatent}, {"iterations", port::kInt}},
       .params = {{.name = "steps", .fallback = std::int64_t{3}, .help = ""}},
       .runs_on = Home::Host},
      [](const ForecastContext&) {
        return Forecast{{{"latent", mib(1)}, {"iterations", std::int64_t{3}}}, 0};
      },
      [](RunContext& context) {
        context.output("latent", filled(1, 1.0));
        context.output("iterations", std::int64_t{3});
      });
}

// latent * w + condition + index; needs 2 MiB of workspace, or none in its variant "lean".
inline NodeDescriptor unet_node() {
  return with(
      {.id = "unet",
       .summary = "Multiplies by its weight and adds what it is told.",
       .inputs = {{"latent", kFakeLatent}, {"condition", kFakeCondition}, {"index", port::kInt}},
       .outputs = {{"denoised", kFakeLatent}},
       .slots = {{"unet", "", true}},
       .variants = {"fast", "lean"}},
      [](const ForecastContext& context) {
        return Forecast{{{"denoised", mib(1)}}, context.variant() == "fast" ? 2 * kMiB : 0};
      },
      [](RunContext& context) {
        const double sum = first(context.tensor("condition")) +
                           static_cast<double>(context.value<std::int64_t>("index"));
        context.output("denoised",
                       filled(1, first(context.tensor("latent")) * weight(context, "unet") + sum));
      });
}

// denoised + history, where there is one; the history is what was denoised before.
inline NodeDescriptor step_node() {
  return with(
      {.id = "step",
       .summary = "Adds its history.",
       .inputs = {{"denoised", kFakeLatent}, {"history", kFakeLatent, "", true}},
       .outputs = {{"latent", kFakeLatent}, {"history", kFakeLatent}}},
      [](const ForecastContext&) {
        return Forecast{{{"latent", mib(1)}, {"history", mib(1)}}, 0};
      },
      [](RunContext& context) {
        const double denoised = first(context.tensor("denoised"));
        const double before = context.has("history") ? first(context.tensor("history")) : 0.0;
        context.output("latent", filled(1, denoised + before));
        context.output("history", filled(1, denoised));
      });
}

inline NodeDescriptor decode_node() {
  return with(
      {.id = "decode",
       .summary = "Multiplies by its weight.",
       .inputs = {{"latent", kFakeLatent}},
       .outputs = {{"image", port::kImage}},
       .slots = {{"vae", "", true}}},
      [](const ForecastContext&) {
        return Forecast{{{"image", mib(2)}}, kMiB};
      },
      [](RunContext& context) {
        context.output("image",
                       filled(2, first(context.tensor("latent")) * weight(context, "vae")));
      });
}

// The node with a memo of 1 MiB more, which says how many tensors it finds there.
inline NodeDescriptor keeping(NodeDescriptor node, std::vector<std::size_t>& found) {
  const std::shared_ptr<const Node> inner =
      node.create(Params(std::map<std::string, Param, std::less<>>{}));
  const auto forecast = [inner](const ForecastContext& context) {
    Forecast told = inner->forecast(context);
    told.memo = kMiB;
    return told;
  };
  const auto run = [inner, &found](RunContext& context) {
    Bundle& kept = context.memo()["kept"];
    found.push_back(kept.size());
    if (kept.empty()) kept["ones"] = filled(1, 1.0);
    inner->run(context);
  };
  return with(std::move(node), forecast, run);
}

inline constexpr const char* kPipeline = R"({
  "emulsion": 1,
  "inputs": {"model": {"type": "model", "default": "fake"}},
  "resources": {"sd": {"type": "checkpoint", "source": "$model"}},
  "nodes": {
    "encode": {"type": "encode", "use": {"clip": "sd.clip"}},
    "noise": {"type": "noise"},
    "denoise": {"loop": {
      "count": "noise.iterations",
      "carry": {"latent": {"from": "noise.latent", "next": "step.latent"},
                "history": {"next": "step.history"}},
      "nodes": {
        "unet": {"type": "unet", "use": {"unet": "sd.unet"},
                 "in": {"latent": "carry.latent", "condition": "encode.condition",
                        "index": "loop.index"}},
        "step": {"type": "step",
                 "in": {"denoised": "unet.denoised", "history": "carry.history"}}}}},
    "decode": {"type": "decode", "use": {"vae": "sd.vae"}, "in": {"latent": "denoise.latent"}}},
  "outputs": {"image": "decode.image"}})";

// The node types above; `changed` take the place of those with the same id.
class Pipeline {
 public:
  explicit Pipeline(std::vector<NodeDescriptor> changed = {}) {
    for (auto* const make : {&encode_node, &noise_node, &unet_node, &step_node, &decode_node})
      add(make());
    for (NodeDescriptor& node : changed) add(std::move(node));
    graph = validate(parse_graph(kPipeline, "fake.json"), catalog_, {});
    nodes = make_nodes(graph);
  }

  // Components of 4 (clip), 5 (unet) and 2 MiB (vae), known by their headers.
  std::vector<Slot> headers() const {
    std::vector<Slot> slots;
    for (const ComponentRef& ref : graph.components) {
      auto set = std::make_shared<WeightSet>();
      set->header_only = true;
      set->weights["w"].spec = mib(ref.part == "clip" ? 4 : ref.part == "unet" ? 5 : 2);
      slots.push_back({std::make_shared<const Component>(), set});
    }
    return slots;
  }

  Forecasts forecasts() const { return forecast(graph, nodes, headers(), at::kFloat); }

  ExecutionPlan plan(Bytes budget) const { return plan({{.name = "cpu", .capacity = budget}}); }

  ExecutionPlan plan(std::vector<DeviceBudget> devices) const {
    return make_plan(graph, forecasts(), request(std::move(devices)));
  }

  // Of devices with typical speeds; the last is the host.
  static PlanRequest request(std::vector<DeviceBudget> devices) {
    PlanRequest request;
    request.speeds = speeds_of(devices, typical_speeds());
    request.devices = std::move(devices);
    return request;
  }

  Graph graph;
  Nodes nodes;

 private:
  void add(NodeDescriptor node) {
    types_.push_back(std::move(node));
    catalog_[types_.back().id] = &types_.back();
  }

  std::list<NodeDescriptor> types_;
  NodeCatalog catalog_;
};

}  // namespace emulsion::fakes

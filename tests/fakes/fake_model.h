#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "emulsion/str.h"
#include "exec/recovery.h"
#include "fakes/fake_pipeline.h"
#include "weights/safetensors.h"
#include "weights/safetensors_writer.h"

// The weights of the fake pipeline on disk, a UNet that reads them block by block, and runs of it.
namespace emulsion::fakes {

inline constexpr int kBlocks = 5;

inline std::string block_name(int i) { return str("b", i); }

// The weights in blocks of 1 MiB, whose sum is what the whole UNet has as its 'w'.
inline std::map<std::string, at::Tensor> unet_blocks() {
  std::map<std::string, at::Tensor> blocks;
  for (int i = 0; i < kBlocks; ++i) blocks[block_name(i)] = filled(1, i == 0 ? 1.0 : 0.25);
  return blocks;
}

// Like unet_node(), with its weights in blocks, and with its workspace in use.
inline NodeDescriptor block_unet_node() {
  NodeDescriptor node = unet_node();
  node.phase = Phase::Denoise;
  const auto forecast = [](const ForecastContext& context) {
    for (int i = 0; i < kBlocks; ++i)
      context.weights("unet").block().tensor(block_name(i), {kMiB / 4});
    Forecast result{{{"denoised", mib(1)}}, context.variant() == "fast" ? 2 * kMiB : Bytes{0}};
    result.work.product = context.variant() == "fast" ? 1e10 : 2e10;
    return result;
  };
  const auto run = [](RunContext& context) {
    const at::Tensor temporary = context.variant() == "fast" ? filled(2, 0.0) : at::Tensor();
    const WeightView weights = context.weights("unet");
    double factor = 0;
    for (int i = 0; i < kBlocks; ++i)
      factor += first(weights.block().tensor(block_name(i), {kMiB / 4}));
    const double sum = first(context.tensor("condition")) +
                       static_cast<double>(context.value<std::int64_t>("index"));
    context.output("denoised", filled(1, first(context.tensor("latent")) * factor + sum));
  };
  return with(std::move(node), forecast, run);
}

// A folder of its own with one weight a part, clip 3, unet 2, vae 10, or the UNet in blocks.
class Model {
 public:
  enum class Unet { Whole, Blocks };

  explicit Model(Unet unet = Unet::Whole)
      : folder_(
            std::filesystem::temp_directory_path() /
            ("emulsion_fake_model_" + std::to_string(getpid()) + "_" + std::to_string(++count))) {
    save("clip", {{"w", filled(4, 3.0)}});
    save("vae", {{"w", filled(2, 10.0)}});
    if (unet == Unet::Blocks)
      save("unet", unet_blocks());
    else
      save("unet", {{"w", filled(5, 2.0)}});
  }
  ~Model() { std::filesystem::remove_all(folder_); }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  void save(const std::string& part, const std::map<std::string, at::Tensor>& weights) const {
    std::filesystem::create_directories(folder_ / part);
    save_safetensors(folder_ / part / "model.safetensors", weights);
    std::ofstream(folder_ / part / "config.json") << "{}";
  }

  std::vector<OpenComponent> open(const Graph& graph) const {
    std::vector<OpenComponent> components;
    for (const ComponentRef& ref : graph.components)
      components.push_back(open_component(folder_, ref.part));
    return components;
  }

  const std::filesystem::path& folder() const { return folder_; }

  Forecasts forecasts(const Pipeline& pipeline) const {
    const std::vector<OpenComponent> components = open(pipeline.graph);
    std::vector<Slot> slots;
    for (const OpenComponent& component : components)
      slots.push_back({component.component, header_of(component, at::kFloat)});
    Forecasts forecasts = forecast(pipeline.graph, pipeline.nodes, slots, at::kFloat);
    for (ComponentForecast& component : forecasts.components) component.mapped = component.bytes;
    return forecasts;
  }

 private:
  static inline int count = 0;
  std::filesystem::path folder_;
};

// A fast device with a budget of its own, beside the host.
inline PlanRequest beside_host(Bytes logical, Bytes host) {
  PlanRequest request = Pipeline::request(
      {{.name = "sim:a", .capacity = logical}, {.name = "cpu", .capacity = host}});
  request.devices[0].name = "logical:a";
  return request;
}

struct FakeRun {
  double pixel = 0;
  RunReport report;
  Bytes left = 0;  // in all meters, once the result has gone
};

// Runs `plan`, which answers `request`, as a session does.
inline FakeRun run(const Pipeline& pipeline, const Model& model, const PlanRequest& request,
                   const ExecutionPlan& plan, const RunOptions& options = {}) {
  install_memory_meter();
  const Forecasts forecasts = model.forecasts(pipeline);
  const std::vector<OpenComponent> components = model.open(pipeline.graph);
  const Meters meters = meters_for(request.devices);
  FakeRun result;
  {
    RunState state(pipeline.graph, request.devices, meters);
    const Outputs outputs = execute_recovering(
        plan, request, forecasts, {pipeline.graph, pipeline.nodes, components}, state, options);
    result.pixel = first(std::get<at::Tensor>(outputs.at("image")));
    result.report = state.recorder.report();
  }
  for (const auto& meter : meters) result.left += meter->used();
  return result;
}

inline FakeRun run(const Pipeline& pipeline, const Model& model, const PlanRequest& request,
                   const RunOptions& options = {}) {
  return run(pipeline, model, request,
             make_plan(pipeline.graph, model.forecasts(pipeline), request), options);
}

// The pipeline's arithmetic: latent' = (2 latent + 3 + i) + history, history' = 2 latent + 3 + i.
inline double expected_pixel() {
  double latent = 1, history = 0;
  for (int i = 0; i < 3; ++i) {
    const double denoised = 2 * latent + 3 + i;
    latent = denoised + history;
    history = denoised;
  }
  return 10 * latent;
}

}  // namespace emulsion::fakes

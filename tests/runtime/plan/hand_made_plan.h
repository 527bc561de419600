#pragma once

#include <stdexcept>

#include "fakes/fake_pipeline.h"

// A plan of the fakes' pipeline with every kind of step, for tests of what is shown of plans.
namespace emulsion::fakes {

template <class Id, class List>
Id id_of(const List& list, std::string_view name) {
  for (std::size_t i = 0; i < list.size(); ++i)
    if (list[i].name == name) return Id{static_cast<std::uint32_t>(i)};
  throw std::out_of_range(std::string(name));
}

inline ExecutionPlan hand_made_plan(const Graph& graph) {
  const DeviceId gpu{0}, cpu{1};
  const auto component = [&](std::string_view name) {
    return id_of<ComponentId>(graph.components, name);
  };
  const auto node = [&](std::string_view name) { return id_of<NodeId>(graph.nodes, name); };
  const auto value = [&](std::string_view name) { return id_of<ValueId>(graph.values, name); };
  ExecutionPlan plan;
  plan.devices = {{{.name = "sim:a", .capacity = 8 * kMiB}, 8 * kMiB},
                  {{.name = "cpu", .capacity = 64 * kMiB}, 6 * kMiB}};
  plan.profile = "auto";
  plan.seconds = 20;
  RunLoop loop{.loop = LoopId{0}, .first = 1, .iterations = 4, .body = {}};
  loop.body = {
      RunNode{node("denoise.unet"), gpu, "lean", {5 * kMiB, kMiB, 0}, 8 * kMiB, 3 * kMiB, 4},
      TrimMemory{gpu}};
  plan.steps = {
      LoadWeights{.component = component("sd.clip"),
                  .device = cpu,
                  .from = {},
                  .held = 4 * kMiB,
                  .passed = 4 * kMiB,
                  .streamed = {},
                  .seconds = 1},
      RunNode{node("encode"), cpu, "default", {4 * kMiB, kMiB, kMiB}, 6 * kMiB, 0, 2},
      CopyValue{value("encode.condition"), cpu, gpu, kMiB, 0.5},
      FreeValue{value("encode.condition"), cpu},
      EvictWeights{component("sd.clip"), cpu},
      LoadWeights{.component = component("sd.unet"),
                  .device = gpu,
                  .from = cpu,
                  .held = 4 * kMiB,
                  .passed = 4 * kMiB,
                  .streamed = {1, 2},
                  .prefetch = false,
                  .seconds = 2},
      BindValues{{{value("denoise.latent"), Operand(value("noise.latent")), gpu}}},
      std::move(loop),
      RunNode{node("decode"), gpu, "default", {0, 2 * kMiB, kMiB}, 8 * kMiB, 0, 2.5},
  };
  return plan;
}

}  // namespace emulsion::fakes

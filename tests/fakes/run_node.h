#pragma once

#include <c10/core/InferenceMode.h>
#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "emulsion/node.h"
#include "emulsion/plugin.h"
#include "emulsion/str.h"
#include "memory/memory_meter.h"
#include "weights/weight_store.h"

// One node of a plug-in, run alone: its slots bound to parts of a model's folder.
namespace emulsion::fakes {

struct NodeCase {
  std::string id;
  std::map<std::string, Param, std::less<>> params = {};  // those that differ from the fallback
  std::filesystem::path model = {};
  std::map<std::string, std::string> parts = {};  // slot -> part of the model
  RunContext::Values inputs = {};
  std::string variant = {};  // empty: the first
  c10::ScalarType dtype = c10::kFloat;
  Packing packing = Packing::None;  // of weights that may be packed
  const std::atomic<bool>* cancelled = nullptr;
  Memo* memo = nullptr;  // of runs before; null: an empty one
};

// The descriptor of a node whose folder and library have its id.
inline const NodeDescriptor& descriptor_of(const std::string& id) {
  static std::map<std::string, std::vector<NodeDescriptor>> loaded;
  std::vector<NodeDescriptor>& nodes = loaded[id];
  if (nodes.empty()) {
    const std::string file =
        str(std::getenv("EMULSION_TEST_BUILD"), "/lib/emulsion/nodes/", id, ".so");
    void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);  // stays until the end
    if (library == nullptr) throw std::runtime_error(dlerror());
    const auto* entry = static_cast<const PluginEntry*>(dlsym(library, "emulsion_plugin"));
    if (entry == nullptr) throw std::runtime_error(str(file, " has no entry"));
    if (const char* fault = entry->describe(nodes)) throw std::runtime_error(fault);
  }
  return nodes.at(0);
}

inline std::unique_ptr<Node> make_node(const NodeCase& node) {
  const NodeDescriptor& type = descriptor_of(node.id);
  auto params = node.params;
  for (const ParamSpec& spec : type.params)
    if (!spec.optional) params.try_emplace(spec.name, spec.fallback);
  return type.create(Params(params));
}

// What a node may have packed, by slot.
using PackedNames = std::map<std::string, WeightNames>;

// The names in `packed` are packed where `with_data` is set.
inline Site site_of(const NodeCase& node, bool with_data, const PackedNames& packed = {}) {
  const NodeDescriptor& type = descriptor_of(node.id);
  Site site;
  site.variant = node.variant.empty() ? type.variants.front() : node.variant;
  site.dtype = node.dtype;
  for (const SlotSpec& slot : type.slots) {
    OpenComponent open = open_component(node.model, node.parts.at(slot.name));
    open.packing = node.packing;
    WeightSelection selection = all_of(open);
    if (packed.contains(slot.name)) selection.packed = packed.at(slot.name);
    Slot& bound = site.slots[slot.name];
    bound.component = open.component;
    if (slot.has_weights)
      bound.weights = with_data ? load(open, selection, WeightPlace{}, node.dtype)
                                : header_of(open, node.dtype);
  }
  return site;
}

inline Forecast forecast_node(const NodeCase& node, PackedNames* packed = nullptr) {
  ForecastContext::Inputs specs;
  for (const auto& [name, value] : node.inputs) specs[name] = spec_of(value);
  const ForecastContext context(site_of(node, false), specs);
  Forecast forecast = make_node(node)->forecast(context);
  if (packed != nullptr)
    for (const auto& [slot, view] : context.views()) (*packed)[slot] = view.use().packed;
  return forecast;
}

inline Site site_with_data(const NodeCase& node) {
  PackedNames packed;
  if (node.packing != Packing::None) forecast_node(node, &packed);
  return site_of(node, true, packed);
}

inline RunContext::Values run_node(const NodeCase& node, Site site) {
  const c10::InferenceMode inference;
  RunContext context(std::move(site), c10::kCPU, node.inputs, RunHooks{node.cancelled, {}});
  if (node.memo != nullptr) context.memo() = std::exchange(*node.memo, {});
  make_node(node)->run(context);
  if (node.memo != nullptr) *node.memo = std::move(context.memo());
  return context.take_outputs();
}

inline RunContext::Values run_node(const NodeCase& node) {
  return run_node(node, site_with_data(node));
}

// The most that a run of the node holds besides its inputs and weights: outputs and temporaries.
inline Bytes peak_of_run(const NodeCase& node) {
  install_memory_meter();
  Site site = site_with_data(node);
  const MemoryMeter meter(c10::kCPU);
  const MeterScope scope(meter);
  run_node(node, std::move(site));
  return meter.peak();
}

// What a forecast says of the same.
inline Bytes forecast_peak(const Forecast& forecast) {
  Bytes bytes = forecast.workspace + forecast.cpu_workspace + forecast.memo;
  for (const auto& [name, spec] : forecast.outputs) bytes += bytes_of(spec);
  return bytes;
}

}  // namespace emulsion::fakes

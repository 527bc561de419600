#include "exec/request_setup.h"

#include <algorithm>

#include "weights/branches.h"

namespace emulsion {
namespace {

std::vector<Slot> header_slots(const Graph& graph, const std::vector<OpenComponent>& components,
                               c10::ScalarType dtype) {
  const std::vector<bool> with_weights = components_with_weights(graph);
  std::vector<Slot> slots;
  for (std::size_t i = 0; i < components.size(); ++i) {
    Slot slot{components[i].component, nullptr};
    if (with_weights[i]) slot.weights = header_of(components[i], dtype);
    slots.push_back(std::move(slot));
  }
  for (std::size_t i = 0; i < components.size(); ++i)
    if (const auto beside = graph.components[i].beside) {
      Slot& slot = slots[index(*beside)];
      slot.weights = with_branches(*slot.weights, *slots[i].weights, components[i]);
    }
  return slots;
}

std::vector<std::string> names_in(const WeightUse& use) {
  std::vector<std::string> names = use.lasting;
  for (const auto& block : use.blocks) names.insert(names.end(), block.begin(), block.end());
  return names;
}

// A profile that computes on the host alone leaves the other devices out, also where the dtype
// follows from the device.
std::vector<DeviceBudget> devices_of(const Request& request) {
  std::vector<DeviceBudget> devices = parse_devices(request.devices);
  const Profile& profile = find_profile(request.profile);
  const auto phases = {profile.encode, profile.denoise, profile.decode};
  if (std::ranges::count(phases, Where::Host) == 3)
    devices.erase(devices.begin(), devices.end() - 1);
  return devices;
}

}  // namespace

std::vector<c10::ScalarType> dtypes_of(const Request& request) {
  const c10::ScalarType first = parse_dtype(request.dtype, devices_of(request).front());
  if (request.dtype == "auto" && first == c10::ScalarType::Float)
    return {first, c10::ScalarType::BFloat16};
  return {first};
}

Forecasts forecast_of(const Graph& graph, const Nodes& nodes,
                      const std::vector<OpenComponent>& components, c10::ScalarType dtype) {
  const std::vector<Slot> slots = header_slots(graph, components, dtype);
  Forecasts forecasts = forecast(graph, nodes, slots, dtype);
  for (std::size_t i = 0; i < components.size(); ++i) {
    if (slots[i].weights == nullptr) continue;
    ComponentForecast& component = forecasts.components[i];
    const ReadCost cost =
        read_cost(components[i], names_in(component.use), dtype, component.use.packed);
    component.mapped = cost.mapped;
    component.staging = cost.staging;
    component.changing = cost.changing;
    component.changes = cost.changes;
    component.changed = cost.changed;
  }
  return forecasts;
}

RequestSetup set_up(const Request& request, const BoundGraph& bound, c10::ScalarType dtype,
                    const Notice& notice) {
  RequestSetup setup;
  setup.graph = bound.graph;
  setup.written = bound.written;
  setup.plan.profile = &find_profile(request.profile);
  setup.plan.devices = devices_of(request);
  locate_files(setup.graph);
  setup.nodes = make_nodes(setup.graph);
  OpenResources opened = open_resources(setup.graph);
  setup.components = std::move(opened.components);
  setup.adapters = std::move(opened.adapters);
  setup.forecasts = forecast_of(setup.graph, setup.nodes, setup.components, dtype);
  setup.plan.speeds = speeds_of(setup.plan.devices, speeds_for(setup.plan.devices, notice));
  return setup;
}

}  // namespace emulsion

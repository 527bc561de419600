#include "exec/request_setup.h"

#include <algorithm>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "exec/shipped_files.h"
#include "graph/bind_files.h"
#include "graph/near_names.h"
#include "graph/validate.h"
#include "weights/branches.h"

namespace emulsion {
namespace {

// Keeps the outputs that are asked for or written; with neither all of them.
void keep_wanted_outputs(const Request& request, RequestSetup& setup) {
  std::vector<std::string> known;
  for (const GraphOutput& output : setup.graph.outputs) known.push_back(output.name);
  for (const std::string& name : request.outputs)
    if (std::ranges::find(known, name) == known.end())
      throw GraphError(str(setup.graph.name, ": unknown output", expected_one_of(known, name)));
  if (request.outputs.empty() && request.files.empty()) return;
  const auto holds = [](const std::vector<std::string>& names, const std::string& name) {
    return std::ranges::find(names, name) != names.end();
  };
  std::erase_if(setup.graph.outputs, [&](const GraphOutput& output) {
    return !holds(request.outputs, output.name) && !holds(setup.written, output.name);
  });
}

void bind_graph(const Request& request, const NodeCatalog& catalog, RequestSetup& setup) {
  const std::filesystem::path file = find_graph(request.graph);
  GraphSpec spec = parse_graph(read_text_file(file), file.filename().string());
  std::map<std::string, Param> values;
  for (const auto& [name, text] : request.values) {
    const GraphInput& input = input_named(spec, name);
    if (is_bound_to_file(input.type))
      bind_input_file(spec, catalog, name, text);
    else
      values.emplace(name, parse_value(input, text));
  }
  for (const auto& [output, path] : request.files) {
    const std::string names = bind_output_file(spec, catalog, output, path);
    if (!names.empty()) setup.written.push_back(names);
  }
  setup.graph = validate(spec, catalog, values);
  keep_wanted_outputs(request, setup);
}

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

std::vector<std::string> model_sources(const Request& request, const NodeCatalog& catalog) {
  RequestSetup setup;
  bind_graph(request, catalog, setup);
  std::vector<std::string> sources;
  const auto note = [&](const std::string& source) {
    const bool known = std::ranges::find(sources, source) != sources.end();
    if (!known && !source.empty() && !is_part_folder(source)) sources.push_back(source);
  };
  for (const Resource& resource : setup.graph.resources) {
    const auto* checkpoint = std::get_if<Resource::Checkpoint>(&resource.made);
    if (checkpoint == nullptr) continue;
    note(checkpoint->source);
    for (const auto& [part, source] : checkpoint->parts) note(source);
  }
  return sources;
}

RequestSetup set_up(const Request& request, const NodeCatalog& catalog, c10::ScalarType dtype,
                    const Notice& notice) {
  RequestSetup setup;
  setup.plan.profile = &find_profile(request.profile);
  setup.plan.devices = devices_of(request);
  bind_graph(request, catalog, setup);
  setup.nodes = make_nodes(setup.graph);
  OpenResources opened = open_resources(setup.graph);
  setup.components = std::move(opened.components);
  setup.adapters = std::move(opened.adapters);
  setup.forecasts = forecast_of(setup.graph, setup.nodes, setup.components, dtype);
  setup.plan.speeds = speeds_of(setup.plan.devices, speeds_for(setup.plan.devices, notice));
  return setup;
}

}  // namespace emulsion

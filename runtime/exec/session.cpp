#include "emulsion/session.h"

#include <sstream>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "exec/executor.h"
#include "exec/memory_meter.h"
#include "exec/shipped_files.h"
#include "graph/bind_files.h"
#include "graph/dot.h"
#include "graph/graph_spec.h"
#include "graph/limits.h"
#include "graph/validate.h"
#include "plan/execution_plan.h"
#include "plugins/plugin_registry.h"
#include "weights/weight_store.h"

namespace emulsion {
namespace {

GraphSpec read_spec(const std::string& graph) {
  const std::filesystem::path file = find_graph(graph);
  return parse_graph(read_text_file(file), file.filename().string());
}

SettableInput settable(const GraphInput& input) {
  SettableInput shown{.name = input.name,
                      .type = std::string(to_text(input.type)),
                      .help = input.help,
                      .label = input.label,
                      .unit = input.unit,
                      .fallback = {},
                      .has_fallback = input.fallback.has_value(),
                      .limits = to_text(limits(input))};
  if (input.fallback) shown.fallback = to_text(*input.fallback);
  return shown;
}

// What of a request is checked and known before the planner has its say.
struct Prepared {
  Graph graph;
  std::vector<std::string> written;  // outputs that hold the names of written files
  Nodes nodes;
  std::vector<OpenComponent> components;
  ExecutionPlan plan;
};

Graph bound_graph(const Request& request, const NodeCatalog& catalog,
                  std::vector<std::string>& written) {
  GraphSpec spec = read_spec(request.graph);
  std::map<std::string, Param> values;
  for (const auto& [name, text] : request.values) {
    const GraphInput& input = input_named(spec, name);
    if (is_bound_to_file(input.type))
      bind_input_file(spec, catalog, name, text);
    else
      values.emplace(name, parse_value(input, text));
  }
  for (const auto& [output, file] : request.files) {
    const std::string names = bind_output_file(spec, catalog, output, file);
    if (!names.empty()) written.push_back(names);
  }
  return validate(spec, catalog, values);
}

std::vector<OpenComponent> open_components(const Graph& graph) {
  std::vector<OpenComponent> components;
  for (const ComponentRef& ref : graph.components)
    components.push_back(open_component(find_model(ref.source, share_folders("models")), ref.part));
  return components;
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
  return slots;
}

Prepared prepare(const Request& request, const NodeCatalog& catalog) {
  Prepared prepared;
  prepared.graph = bound_graph(request, catalog, prepared.written);
  const std::vector<DeviceBudget> devices = parse_devices(request.devices);
  const c10::ScalarType dtype = parse_dtype(request.dtype, devices.front());
  prepared.nodes = make_nodes(prepared.graph);
  prepared.components = open_components(prepared.graph);
  const auto slots = header_slots(prepared.graph, prepared.components, dtype);
  const Forecasts forecasts = forecast(prepared.graph, prepared.nodes, slots, dtype);
  prepared.plan = make_plan(prepared.graph, forecasts, devices);
  return prepared;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

RunOptions options_of(const Callbacks& callbacks) {
  RunOptions options{callbacks.cancelled, {}, callbacks.warn};
  if (callbacks.progress)
    options.progress = [&callbacks](const RunProgress& at) {
      callbacks.progress({at.node, at.iteration, at.iterations, at.seconds_left});
    };
  return options;
}

void refuse_simulated(const ExecutionPlan& plan) {
  for (const DevicePlan& device : plan.devices)
    if (device.budget.simulated)
      throw GraphError(str("--device ", device.budget.name,
                           ": is simulated, and can be planned for only; take logical:NAME=BYTES "
                           "to run within a budget"));
}

}  // namespace

struct Session::Parts {
  PluginRegistry registry;
};

Session::Session(const std::vector<std::filesystem::path>& folders)
    : parts_(std::make_unique<Parts>()) {
  install_memory_meter();
  for (const std::filesystem::path& folder : plugin_folders(folders))
    parts_->registry.add_folder(folder);
}

Session::~Session() = default;

std::vector<NodeType> Session::node_types() const {
  std::vector<NodeType> types;
  for (const auto& [id, descriptor] : parts_->registry.catalog()) {
    NodeType type{*descriptor, {}, parts_->registry.library_of(id)};
    for (const ParamSpec& param : descriptor->params) type.limits.push_back(to_text(limits(param)));
    types.push_back(std::move(type));
  }
  return types;
}

std::vector<std::string> Session::refused_plugins() const {
  std::vector<std::string> lines;
  for (const PluginFile& file : parts_->registry.files())
    if (!file.refusal.empty()) lines.push_back(file.refusal);
  return lines;
}

std::string Session::why(const std::string& node_type) const {
  return parts_->registry.why(node_type);
}

std::vector<std::string> Session::shipped_graphs() const { return emulsion::shipped_graphs(); }

GraphDescription Session::describe(const std::string& graph) const {
  const GraphSpec spec = read_spec(graph);
  const Graph checked = validate(spec, parts_->registry.catalog(), {}, Unset::IsFine);
  GraphDescription description{spec.name, spec.description, find_graph(graph), {}, {}};
  for (const GraphInput& input : spec.inputs) description.inputs.push_back(settable(input));
  for (const GraphOutput& output : checked.outputs)
    description.outputs.emplace(output.name, checked.value(output.value).type.name);
  return description;
}

void Session::check(const std::string& graph) const {
  validate(read_spec(graph), parts_->registry.catalog(), {}, Unset::IsFine);
}

std::string Session::dot(const std::string& graph) const {
  return to_dot(validate(read_spec(graph), parts_->registry.catalog(), {}, Unset::IsFine));
}

std::string Session::plan_text(const Request& request) const {
  const Prepared prepared = prepare(request, parts_->registry.catalog());
  return to_text(prepared.plan, prepared.graph);
}

std::string Session::plan_json(const Request& request) const {
  const Prepared prepared = prepare(request, parts_->registry.catalog());
  return to_json(prepared.plan, prepared.graph);
}

Outcome Session::run(const Request& request, const Callbacks& callbacks) const {
  const Prepared prepared = prepare(request, parts_->registry.catalog());
  refuse_simulated(prepared.plan);
  RunResult result = execute(prepared.plan, prepared.graph, prepared.nodes, prepared.components,
                             options_of(callbacks));
  Outcome outcome{std::move(result.outputs), {}, to_json(result.report)};
  for (const std::string& name : prepared.written) {
    for (const std::string& file : lines_of(std::get<std::string>(outcome.outputs.at(name))))
      outcome.files.push_back(file);
    outcome.outputs.erase(name);
  }
  return outcome;
}

}  // namespace emulsion

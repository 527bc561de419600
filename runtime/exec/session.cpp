#include "emulsion/session.h"

#include <sstream>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "exec/model_fetch.h"
#include "exec/model_list.h"
#include "exec/model_location.h"
#include "exec/shipped_files.h"
#include "exec/speed_file.h"
#include "exec/warm_run.h"
#include "graph/dot.h"
#include "graph/limits.h"
#include "graph/validate.h"
#include "memory/memory_meter.h"
#include "plan/plan_views.h"
#include "plugins/plugin_registry.h"
#include "weights/conversion.h"
#include "weights/model_report.h"

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

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

RunOptions options_of(const Callbacks& callbacks) {
  RunOptions options{callbacks.cancelled, {}, callbacks.warn, {}};
  if (callbacks.progress)
    options.progress = [&callbacks](const RunProgress& at) {
      callbacks.progress({at.node, at.iteration, at.iterations, at.seconds_left});
    };
  return options;
}

PlannedRequest plan_of(const Request& request, const NodeCatalog& catalog,
                       const Callbacks& callbacks) {
  return plan_request(request, bind_graph(request, catalog), callbacks.warn);
}

ModelLayout layout_of(const ModelConversion& conversion) {
  const bool ends_so = conversion.target.extension() == ".safetensors";
  if (conversion.layout == "folder") return ModelLayout::Folder;
  if (conversion.layout == "auto") return ends_so ? ModelLayout::SingleFile : ModelLayout::Folder;
  if (conversion.layout != "single")
    throw GraphError(str("--layout ", conversion.layout, ": expected auto, folder or single"));
  if (!ends_so)
    throw GraphError(str("'", conversion.target.string(),
                         "': expected a name that ends with .safetensors for a single file"));
  return ModelLayout::SingleFile;
}

std::optional<c10::ScalarType> dtype_of(const ModelConversion& conversion) {
  if (conversion.dtype == "keep") return std::nullopt;
  if (conversion.dtype == "auto") throw GraphError("--dtype auto: expected keep, f32, f16 or bf16");
  return parse_dtype(conversion.dtype, {});
}

// "model/" as "model".
std::filesystem::path without_slash(const std::filesystem::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

void refuse_simulated(const std::vector<std::string>& devices) {
  for (const DeviceBudget& device : parse_devices(devices))
    if (device.simulated)
      throw GraphError(str("--device ", device.name,
                           ": is simulated, and can be planned for only; take logical:NAME=BYTES "
                           "to run within a budget"));
}

}  // namespace

struct Session::Parts {
  PluginRegistry registry;
  WarmState warm;
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

std::string Session::plan_text(const Request& request, const Callbacks& callbacks) const {
  const PlannedRequest planned = plan_of(request, parts_->registry.catalog(), callbacks);
  return to_table(planned.plan, planned.setup.graph);
}

std::string Session::plan_steps(const Request& request, const Callbacks& callbacks) const {
  const PlannedRequest planned = plan_of(request, parts_->registry.catalog(), callbacks);
  return to_text(planned.plan, planned.setup.graph);
}

std::string Session::plan_json(const Request& request, const Callbacks& callbacks) const {
  const PlannedRequest planned = plan_of(request, parts_->registry.catalog(), callbacks);
  return to_json(planned.plan, planned.setup.graph);
}

std::string Session::plan_svg(const Request& request, const std::string& report_json,
                              const Callbacks& callbacks) const {
  const PlannedRequest planned = plan_of(request, parts_->registry.catalog(), callbacks);
  return to_svg(planned.plan, planned.setup.graph, report_json);
}

std::vector<std::pair<std::string, std::string>> Session::profiles() const {
  std::vector<std::pair<std::string, std::string>> list;
  for (const Profile& profile : emulsion::profiles())
    list.emplace_back(profile.name, profile.summary);
  return list;
}

Speeds Session::bench(const std::vector<std::string>& devices, const Callbacks& callbacks) const {
  const SpeedTable table = measure_again(parse_devices(devices), callbacks.warn);
  return {to_text(table), to_json(table)};
}

ModelDescription Session::inspect(const std::string& model) const {
  const ModelReport report = report_of(locate_model(model), share_folders("tokenizer"));
  return {to_text(report), to_json(report)};
}

ModelList Session::models() const {
  const std::vector<ListedModel> models = listed_models();
  return {to_text(models), to_json(models)};
}

std::string Session::pull(const PullRequest& request, const Callbacks& callbacks) const {
  return pull_model(request, callbacks).string();
}

void Session::convert(const ModelConversion& conversion, const Callbacks& callbacks) const {
  const ModelLayout layout = layout_of(conversion);
  const std::optional<c10::ScalarType> dtype = dtype_of(conversion);
  const std::filesystem::path model = locate_model(conversion.source);
  const Conversion plan = plan_conversion(model, without_slash(conversion.target), layout, dtype,
                                          share_folders("tokenizer"));
  if (callbacks.warn)
    for (const std::string& note : plan.notes) callbacks.warn(note);
  ConversionHooks hooks{callbacks.cancelled, {}};
  if (callbacks.progress)
    hooks.progress = [&](std::int64_t done, std::int64_t tensors) {
      callbacks.progress({.node = {}, .iteration = done, .iterations = tensors});
    };
  write_conversion(plan, hooks);
}

Outcome Session::run(const Request& request, const Callbacks& callbacks) const {
  refuse_simulated(request.devices);
  const BoundGraph bound = bind_graph(request, parts_->registry.catalog());
  fetch_sources(request, sources_of(bound.graph), callbacks);
  WarmRun run = run_warm(request, bound, parts_->warm, options_of(callbacks));
  Outcome outcome{std::move(run.outputs), {}, to_json(run.report)};
  for (const std::string& name : run.written) {
    for (const std::string& file : lines_of(std::get<std::string>(outcome.outputs.at(name))))
      outcome.files.push_back(file);
    outcome.outputs.erase(name);
  }
  return outcome;
}

void Session::forget() { parts_->warm.forget(); }

}  // namespace emulsion

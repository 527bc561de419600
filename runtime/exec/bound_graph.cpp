#include "exec/bound_graph.h"

#include <algorithm>
#include <map>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "exec/model_location.h"
#include "exec/shipped_files.h"
#include "graph/bind_files.h"
#include "graph/near_names.h"
#include "graph/validate.h"
#include "weights/weight_store.h"

namespace emulsion {
namespace {

// Keeps the outputs that are asked for or written; with neither all of them.
void keep_wanted_outputs(const Request& request, BoundGraph& bound) {
  std::vector<std::string> known;
  for (const GraphOutput& output : bound.graph.outputs) known.push_back(output.name);
  for (const std::string& name : request.outputs)
    if (std::ranges::find(known, name) == known.end())
      throw GraphError(str(bound.graph.name, ": unknown output", expected_one_of(known, name)));
  if (request.outputs.empty() && request.files.empty()) return;
  const auto holds = [](const std::vector<std::string>& names, const std::string& name) {
    return std::ranges::find(names, name) != names.end();
  };
  std::erase_if(bound.graph.outputs, [&](const GraphOutput& output) {
    return !holds(request.outputs, output.name) && !holds(bound.written, output.name);
  });
}

// The files that a node reads beside its inputs.  Those of nodes for one kind of file are what a
// host bound, and paths in any case.
std::map<std::string, std::string> files_of(const GraphNode& node) {
  std::map<std::string, std::string> files;
  if (!node.type->file_endings.empty()) return files;
  for (const ParamSpec& spec : node.type->params)
    if (spec.file && node.params.has(spec.name))
      files.emplace(spec.name, node.params.get<std::string>(spec.name));
  return files;
}

}  // namespace

BoundGraph bind_graph(const Request& request, const NodeCatalog& catalog) {
  BoundGraph bound;
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
    if (!names.empty()) bound.written.push_back(names);
  }
  bound.graph = validate(spec, catalog, values);
  keep_wanted_outputs(request, bound);
  return bound;
}

std::vector<std::string> sources_of(const Graph& graph) {
  std::vector<std::string> sources;
  const auto note = [&](const std::string& source) {
    const bool known = std::ranges::find(sources, source) != sources.end();
    if (!known && !source.empty() && !is_part_folder(source)) sources.push_back(source);
  };
  for (const Resource& resource : graph.resources) {
    if (const auto* checkpoint = std::get_if<Resource::Checkpoint>(&resource.made)) {
      note(checkpoint->source);
      for (const auto& [part, source] : checkpoint->parts) note(source);
    } else if (const auto* lora = std::get_if<Resource::Lora>(&resource.made)) {
      for (const AdapterRef& adapter : lora->adapters) note(adapter.source);
    }
  }
  for (const GraphNode& node : graph.nodes)
    for (const auto& [param, path] : files_of(node)) note(path);
  return sources;
}

void locate_files(Graph& graph) {
  for (GraphNode& node : graph.nodes) {
    auto values = node.params.values();
    for (const auto& [param, path] : files_of(node))
      values[param] = locate_file(param, path).string();
    node.params = Params(std::move(values));
  }
}

}  // namespace emulsion

#include "help.h"

#include <algorithm>
#include <iomanip>
#include <sstream>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion::cli {
namespace {

std::string in_parentheses(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts)
    if (!part.empty()) text += (text.empty() ? "(" : "; ") + part;
  return text.empty() ? "" : " " + text + ")";
}

std::string fallback_text(const ParamSpec& param) {
  if (param.optional) return "optional";
  const std::string value = to_text(param.fallback);
  return "default " + (value.empty() ? "empty" : value);
}

void row(std::ostringstream& text, const std::string& name, const std::string& type,
         const std::string& rest) {
  text << "  " << std::left << std::setw(18) << name << ' ' << std::setw(10) << type << ' ' << rest
       << '\n';
}

void port_rows(std::ostringstream& text, const std::string& title,
               const std::vector<PortSpec>& ports) {
  if (ports.empty()) return;
  text << '\n' << title << ":\n";
  for (const PortSpec& port : ports)
    row(text, port.name, std::string(port.type.name),
        port.help +
            in_parentheses({std::string(port.type.layout), port.optional ? "optional" : ""}));
}

NodeType find_type(const Session& session, const std::string& id) {
  std::vector<NodeType> types = session.node_types();
  const auto found =
      std::ranges::find_if(types, [&](const NodeType& type) { return type.descriptor.id == id; });
  if (found == types.end())
    throw GraphError(str("no node type '", id,
                         "'; `emulsion nodes` lists them, `emulsion nodes --why ", id,
                         "` tells what was refused"));
  return *found;
}

}  // namespace

std::string graph_help(const GraphDescription& graph) {
  std::ostringstream text;
  text << graph.name << ": " << graph.description << "\n\ninputs (--set NAME=VALUE):\n";
  for (const SettableInput& input : graph.inputs) {
    const std::string value = input.fallback.empty() ? "empty" : input.fallback;
    row(text, input.name, input.type,
        input.help + in_parentheses(
                         {input.limits, input.unit, input.has_fallback ? "default " + value : ""}));
  }
  text << "\noutputs (--out NAME=FILE):\n";
  for (const auto& [name, type] : graph.outputs) row(text, name, type, "");
  return text.str();
}

std::string profile_list(const Session& session) {
  std::ostringstream text;
  text << "Profiles:\n";
  for (const auto& [name, summary] : session.profiles())
    text << "  " << std::left << std::setw(18) << name << ' ' << summary << '\n';
  return text.str();
}

std::string node_list(const Session& session) {
  std::ostringstream text;
  for (const NodeType& type : session.node_types())
    text << std::left << std::setw(16) << type.descriptor.id << ' ' << type.descriptor.summary
         << '\n';
  return text.str();
}

std::string node_help(const Session& session, const std::string& id) {
  const NodeType type = find_type(session, id);
  const NodeDescriptor& node = type.descriptor;
  std::ostringstream text;
  text << node.id << ": " << node.summary << '\n';
  port_rows(text, "inputs", node.inputs);
  port_rows(text, "outputs", node.outputs);
  if (!node.params.empty()) text << "\nparameters:\n";
  for (std::size_t i = 0; i < node.params.size(); ++i) {
    const ParamSpec& param = node.params[i];
    row(text, param.name, std::string(kind_text(param.fallback)),
        param.help + in_parentheses({type.limits[i], param.unit, fallback_text(param)}));
  }
  if (!node.slots.empty()) text << "\nmodel parts:\n";
  for (const SlotSpec& slot : node.slots)
    row(text, slot.name, slot.has_weights ? "weights" : "config", slot.help);
  text << "\nvariants, fastest first:";
  for (const std::string& variant : node.variants) text << ' ' << variant;
  text << "\nruns on: " << (node.runs_on == Home::Host ? "the host" : "any device")
       << "\nlibrary: " << type.library.string() << '\n';
  return text.str();
}

}  // namespace emulsion::cli

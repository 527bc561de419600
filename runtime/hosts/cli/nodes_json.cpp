#include <nlohmann/json.hpp>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "help.h"

namespace emulsion::cli {
namespace {

using Json = nlohmann::ordered_json;

Json param_value(const Param& param) {
  return std::visit([](const auto& held) { return Json(held); }, param);
}

Json ports_json(const std::vector<PortSpec>& ports) {
  Json list = Json::array();
  for (const PortSpec& port : ports)
    list.push_back({{"name", port.name},
                    {"type", port.type.name},
                    {"layout", port.type.layout},
                    {"optional", port.optional},
                    {"help", port.help}});
  return list;
}

Json param_json(const ParamSpec& param) {
  Json json{{"name", param.name},
            {"label", param.label},
            {"kind", kind_text(param.fallback)},
            {"help", param.help}};
  json["default"] = param.optional ? Json() : param_value(param.fallback);
  if (param.min) json["min"] = *param.min;
  if (param.max) json["max"] = *param.max;
  if (param.display_min) json["display_min"] = *param.display_min;
  if (param.display_max) json["display_max"] = *param.display_max;
  if (param.multiple_of > 1) json["multiple_of"] = param.multiple_of;
  if (!param.choices.empty()) json["choices"] = param.choices;
  if (!param.unit.empty()) json["unit"] = param.unit;
  json["multiline"] = param.multiline;
  json["file"] = param.file;
  json["animatable"] = param.animatable;
  return json;
}

Json node_json(const NodeType& type) {
  const NodeDescriptor& node = type.descriptor;
  Json params = Json::array(), slots = Json::array();
  for (const ParamSpec& param : node.params) params.push_back(param_json(param));
  for (const SlotSpec& slot : node.slots)
    slots.push_back({{"name", slot.name}, {"weights", slot.has_weights}, {"help", slot.help}});
  return {{"id", node.id},
          {"summary", node.summary},
          {"inputs", ports_json(node.inputs)},
          {"outputs", ports_json(node.outputs)},
          {"parameters", std::move(params)},
          {"slots", std::move(slots)},
          {"variants", node.variants},
          {"runs_on", node.runs_on == Home::Host ? "host" : "device"},
          {"file_endings", node.file_endings},
          {"library", type.library.string()}};
}

}  // namespace

std::string nodes_json(const Session& session, const std::string& id) {
  Json list = Json::array();
  for (const NodeType& type : session.node_types())
    if (id.empty() || type.descriptor.id == id) list.push_back(node_json(type));
  if (!id.empty() && list.empty())
    throw GraphError(str("no node type '", id, "'; `emulsion nodes` lists them"));
  return list.dump(2) + "\n";
}

}  // namespace emulsion::cli

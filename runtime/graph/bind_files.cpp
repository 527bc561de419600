#include "graph/bind_files.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "graph/near_names.h"

namespace emulsion {
namespace {

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

std::string ending_of(const std::string& path) {
  return lower(std::filesystem::path(path).extension().string());
}

const PortType* output_type(const NodeCatalog& catalog, const NodeSpec& node,
                            const std::string& output) {
  const auto type = catalog.find(node.type);
  if (type == catalog.end()) return nullptr;
  const PortSpec* port = find_port(type->second->outputs, output);
  return port == nullptr ? nullptr : &port->type;
}

// The type of what a loop gives: that of the carry's next.
const PortType* carry_type(const NodeCatalog& catalog, const LoopSpec& loop,
                           const std::string& name) {
  const auto carry = std::ranges::find(loop.carries, name, &CarrySpec::name);
  if (carry == loop.carries.end()) return nullptr;
  const auto* next = std::get_if<WireRef>(&carry->next.term);
  if (next == nullptr) return nullptr;
  const auto node = std::ranges::find(loop.nodes, next->owner, &NodeSpec::name);
  return node == loop.nodes.end() ? nullptr : output_type(catalog, *node, next->member);
}

// The type of a value that outer nodes may read; null where the document is faulty.
const PortType* type_at(const GraphSpec& spec, const NodeCatalog& catalog, const WireRef& wire) {
  for (const ItemSpec& item : spec.nodes) {
    if (name_of(item) != wire.owner) continue;
    if (const auto* loop = std::get_if<LoopSpec>(&item))
      return carry_type(catalog, *loop, wire.member);
    return output_type(catalog, std::get<NodeSpec>(item), wire.member);
  }
  return nullptr;
}

bool has_path(const NodeDescriptor& node) {
  const ParamSpec* path = find_param(node.params, "path");
  return path != nullptr && std::holds_alternative<std::string>(path->fallback);
}

// The port that a node which writes files takes its value from; null for any other node.
const PortSpec* written_port(const NodeDescriptor& node) {
  const auto is_required = [](const PortSpec& port) { return !port.optional; };
  if (node.file_endings.empty() || !has_path(node)) return nullptr;
  if (std::ranges::count_if(node.inputs, is_required) != 1) return nullptr;
  return &*std::ranges::find_if(node.inputs, is_required);
}

// The port that a node which reads files gives its value at; null for any other node.
const PortSpec* read_port(const NodeDescriptor& node) {
  if (node.file_endings.empty() || !has_path(node) || node.outputs.size() != 1) return nullptr;
  const bool needs_nothing = std::ranges::all_of(node.inputs, &PortSpec::optional);
  return needs_nothing ? &node.outputs.front() : nullptr;
}

struct FileNode {
  const NodeDescriptor* node;
  const PortSpec* port;
};

// The first node for the ending, among those whose `port_of` has the type.  `what` starts the
// fault: "output 'image': no node writes".
FileNode file_node(const NodeCatalog& catalog, const PortSpec* (*port_of)(const NodeDescriptor&),
                   std::string_view type, const std::string& path, const std::string& what) {
  const std::string ending = ending_of(path);
  std::set<std::string> endings;
  for (const auto& [id, node] : catalog) {
    const PortSpec* port = port_of(*node);
    if (port == nullptr || port->type.name != type) continue;
    for (const std::string& known : node->file_endings) {
      if (lower(known) == ending) return {node, port};
      endings.insert(lower(known));
    }
  }
  const std::vector<std::string> list(endings.begin(), endings.end());
  throw GraphError(
      str(what, " ", type, ": expected a file name that ends with ",
          list.empty() ? "nothing, since no such node is loaded" : joined(list, " or "), ", got ",
          quote(path)));
}

bool is_taken(const GraphSpec& spec, const std::string& name) {
  const auto takes = [&](const ItemSpec& item) {
    const auto* loop = std::get_if<LoopSpec>(&item);
    return name_of(item) == name ||
           (loop != nullptr &&
            std::ranges::find(loop->nodes, name, &NodeSpec::name) != loop->nodes.end());
  };
  return std::ranges::any_of(spec.nodes, takes) ||
         std::ranges::find(spec.outputs, name, &Entry::name) != spec.outputs.end();
}

NodeSpec new_node(const GraphSpec& spec, std::string name, const NodeDescriptor& type,
                  const std::string& file) {
  while (is_taken(spec, name)) name += '_';
  const std::string path = "/nodes/" + name;
  return {.name = name,
          .path = path,
          .type = type.id,
          .params = {{"path", path + "/params/path", Param(file)}}};
}

void redirect(std::vector<Entry>& entries, const std::string& input, const WireRef& to) {
  for (Entry& entry : entries) {
    const auto* ref = std::get_if<InputRef>(&entry.term);
    if (ref != nullptr && ref->name == input) entry.term = to;
  }
}

void redirect(LoopSpec& loop, const std::string& input, const WireRef& to) {
  for (CarrySpec& carry : loop.carries) {
    if (!carry.from) continue;
    const auto* ref = std::get_if<InputRef>(&carry.from->term);
    if (ref != nullptr && ref->name == input) carry.from->term = to;
  }
  for (NodeSpec& node : loop.nodes) redirect(node.in, input, to);
}

}  // namespace

std::string bind_output_file(GraphSpec& spec, const NodeCatalog& catalog, const std::string& output,
                             const std::string& path) {
  const auto found = std::ranges::find(spec.outputs, output, &Entry::name);
  if (found == spec.outputs.end()) {
    std::vector<std::string> names;
    for (const Entry& entry : spec.outputs) names.push_back(entry.name);
    throw GraphError(str(spec.file, ": unknown output", expected_one_of(names, output)));
  }
  const auto* wire = std::get_if<WireRef>(&found->term);
  const PortType* type = wire == nullptr ? nullptr : type_at(spec, catalog, *wire);
  if (type == nullptr) return {};
  const auto [writer, port] = file_node(catalog, written_port, type->name, path,
                                        str(spec.file, ": output '", output, "': no node writes"));
  NodeSpec node = new_node(spec, "write_" + output, *writer, path);
  node.in = {{port->name, str(node.path, "/in/", port->name), *wire}};
  std::string name;
  if (!writer->outputs.empty()) {
    name = node.name;
    spec.outputs.push_back({name, "/outputs/" + name, WireRef{name, writer->outputs.front().name}});
  }
  spec.nodes.emplace_back(std::move(node));
  return name;
}

void bind_input_file(GraphSpec& spec, const NodeCatalog& catalog, const std::string& input,
                     const std::string& path) {
  const GraphInput& found = input_named(spec, input);
  if (!is_bound_to_file(found.type))
    throw GraphError(str(spec.file, ": input '", input, "': expected an image or a latent, got ",
                         to_text(found.type), "; set its value instead"));
  const auto [reader, port] = file_node(catalog, read_port, to_text(found.type), path,
                                        str(spec.file, ": input '", input, "': no node reads"));
  NodeSpec node = new_node(spec, "read_" + input, *reader, path);
  const WireRef wire{node.name, port->name};
  for (ItemSpec& item : spec.nodes) {
    if (auto* loop = std::get_if<LoopSpec>(&item))
      redirect(*loop, input, wire);
    else
      redirect(std::get<NodeSpec>(item).in, input, wire);
  }
  spec.nodes.emplace_back(std::move(node));
}

}  // namespace emulsion

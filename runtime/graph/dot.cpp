#include "graph/dot.h"

#include <set>
#include <vector>

#include "emulsion/str.h"

namespace emulsion {
namespace {

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '"' || c == '\\') safe += '\\';
    safe += c;
  }
  return safe;
}

std::string label(std::string_view text) { return str("\"", escaped(text), "\""); }

std::string label(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += str(text.empty() ? "\"" : "\\n", escaped(line));
  return text + "\"";
}

// Draws one graph; the ids of Graphviz are the graph's own names.
class DotWriter {
 public:
  explicit DotWriter(const Graph& graph) : graph_(graph), source_(graph.values.size()) {}

  std::string write() {
    text_ = str("digraph ", label(graph_.name), " {\n  rankdir=LR\n  node [shape=box]\n");
    for (const Item& item : graph_.order) {
      if (const auto* id = std::get_if<NodeId>(&item))
        node(graph_.node(*id), "  ");
      else
        loop(graph_.loop(std::get<LoopId>(item)));
    }
    for (const Resource& resource : graph_.resources) recipe(resource);
    for (const GraphOutput& output : graph_.outputs) {
      const std::string name = label("output " + output.name);
      line("  ", name, " [shape=plaintext, label=", label(output.name), "]");
      edge(output.value, name, "", "");
    }
    for (const GraphNode& node : graph_.nodes)
      for (const auto& [port, operand] : node.inputs) feed(operand, label(node.name), port);
    for (const Loop& loop : graph_.loops) wires(loop);
    return text_ + "}\n";
  }

 private:
  template <class... Text>
  void line(const Text&... text) {
    text_ += str(text..., "\n");
  }

  // Models that are made from others, and these.
  void recipe(const Resource& resource) {
    if (const auto* merge = std::get_if<Resource::Merge>(&resource.made)) {
      cylinder({resource.name, str("merge, ratio ", to_text(Param(merge->ratio)))});
      made_from(resource, merge->a, "a");
      made_from(resource, merge->b, "b");
    }
    if (const auto* lora = std::get_if<Resource::Lora>(&resource.made)) {
      std::vector<std::string> lines{resource.name, "lora"};
      for (const AdapterRef& adapter : lora->adapters)
        lines.push_back(str(adapter.source, " x ", to_text(Param(adapter.strength))));
      cylinder(lines);
      made_from(resource, lora->base, "base");
    }
  }

  void cylinder(const std::vector<std::string>& lines) {
    line("  ", label("resource " + lines.front()), " [shape=cylinder, label=", label(lines), "]");
  }

  void made_from(const Resource& resource, ResourceId id, std::string_view as) {
    const Resource& from = graph_.resource(id);
    if (const auto* found = std::get_if<Resource::Checkpoint>(&from.made))
      cylinder({from.name, found->source});
    line("  ", label("resource " + from.name), " -> ", label("resource " + resource.name),
         " [label=", label(as), "]");
  }

  void node(const GraphNode& node, std::string_view indent) {
    std::set<std::string> parts;
    for (const auto& [slot, id] : node.slots) parts.insert(graph_.component(id).name);
    std::string caption = str(label(node.name), " [label=\"", node.name, "\\n", node.type->id);
    for (const std::string& part : parts) caption += "\\n" + part;
    line(indent, caption, "\"]");
    for (const auto& [port, value] : node.outputs) source_[index(value)] = label(node.name);
  }

  void loop(const Loop& loop) {
    line("  subgraph ", label("cluster_" + loop.name), " {");
    const auto* count = std::get_if<Param>(&loop.count);
    const std::string times = count == nullptr ? "" : str(" x ", to_text(*count));
    line("    label=", label(str("loop ", loop.name, times)), "; style=rounded");
    ellipse(loop, "index", "loop.index");
    source_[index(loop.index)] = label(loop.name + ".index");
    for (const Carry& carry : loop.carries) {
      ellipse(loop, carry.name, "carry." + carry.name);
      source_[index(carry.current)] = source_[index(carry.last)] =
          label(str(loop.name, ".", carry.name));
    }
    for (const NodeId id : loop.body) node(graph_.node(id), "    ");
    line("  }");
  }

  void ellipse(const Loop& loop, const std::string& name, const std::string& caption) {
    line("    ", label(str(loop.name, ".", name)), " [shape=ellipse, label=", label(caption), "]");
  }

  void wires(const Loop& loop) {
    feed(loop.count, label(loop.name + ".index"), "count");
    for (const Carry& carry : loop.carries) {
      const std::string name = label(str(loop.name, ".", carry.name));
      if (carry.from) feed(*carry.from, name, "from");
      edge(carry.next, name, "next", ", style=dashed, constraint=false");
    }
  }

  void feed(const Operand& operand, const std::string& to, const std::string& port) {
    if (const auto* value = std::get_if<ValueId>(&operand)) edge(*value, to, port, "");
  }

  void edge(ValueId from, const std::string& to, const std::string& port, std::string_view more) {
    const std::string caption = port.empty() ? "" : str(" [label=", label(port), more, "]");
    line("  ", source_[index(from)], " -> ", to, caption);
  }

  const Graph& graph_;
  std::vector<std::string> source_;  // by ValueId: what draws its maker
  std::string text_;
};

}  // namespace

std::string to_dot(const Graph& graph) { return DotWriter(graph).write(); }

}  // namespace emulsion

#include "graph/validate.h"

#include "check.h"

#include "runtime/graph/graph_faults.h"

using namespace emulsion;
using fakes::graph_of;

namespace {

const GraphNode& node_named(const Graph& graph, const std::string& name) {
  for (const GraphNode& node : graph.nodes)
    if (node.name == name) return node;
  throw std::logic_error("no node " + name);
}

std::string source_of(const Graph& graph, const std::string& node, const std::string& port) {
  const Operand& operand = node_named(graph, node).inputs.at(port);
  if (const auto* value = std::get_if<ValueId>(&operand)) return graph.value(*value).name;
  return to_text(std::get<Param>(operand));
}

std::string order_text(const Graph& graph) {
  std::string text;
  for (const Item& item : graph.order) {
    if (const auto* node = std::get_if<NodeId>(&item)) {
      text += graph.node(*node).name + " ";
      continue;
    }
    const Loop& loop = graph.loop(std::get<LoopId>(item));
    text += loop.name + "[ ";
    for (const NodeId id : loop.body) text += graph.node(id).name + " ";
    text += "] ";
  }
  return text;
}

}  // namespace

TEST_CASE("nodes run after what they read, else in the order of the document") {
  const Graph graph = graph_of(R"({"emulsion": 1, "outputs": {"x": "last.latent"}, "nodes": {
      "last": {"type": "blur", "in": {"latent": "middle.latent"}},
      "alone": {"type": "counter"},
      "middle": {"type": "blur", "in": {"latent": "first.latent"}},
      "first": {"type": "source"},
      "loop_after": {"loop": {"count": "alone.number", "nodes": {
        "q": {"type": "blur", "in": {"latent": "p.latent"}},
        "p": {"type": "blur", "in": {"latent": "last.latent"}}}}}}})");
  CHECK(order_text(graph) == "alone first middle last loop_after[ loop_after.p loop_after.q ] ");
  REQUIRE(graph.outputs.size() == 1);
  CHECK(graph.value(graph.outputs[0].value).name == "last.latent");
}

TEST_CASE("a loop has its count, its index and its carries") {
  const Graph graph = graph_of(R"({"emulsion": 1, "outputs": {"x": "l.x"}, "nodes": {
      "s": {"type": "source"}, "n": {"type": "counter"},
      "l": {"loop": {"count": "n.number",
                     "carry": {"x": {"from": "s.latent", "next": "b.latent"},
                               "y": {"next": "a.latent"}},
                     "nodes": {"a": {"type": "blur", "in": {"latent": "carry.x", "mask": "carry.y"}},
                               "b": {"type": "blur", "in": {"latent": "a.latent", "mask": "s.latent"}}}}},
      "m": {"type": "measure", "in": {"latent": "l.y"}}}})");
  REQUIRE(graph.loops.size() == 1);
  const Loop& loop = graph.loops[0];
  CHECK(loop.place == "g.json: loop 'l'");
  CHECK(graph.value(std::get<ValueId>(loop.count)).name == "n.number");
  CHECK(graph.value(loop.index).name == "l.index");
  CHECK(graph.value(loop.index).type.holding == Holding::Int);
  REQUIRE(loop.carries.size() == 2);
  const Carry& x = loop.carries[0];
  CHECK(x.type.name == "latent");
  CHECK(graph.value(std::get<ValueId>(*x.from)).name == "s.latent");
  CHECK(graph.value(x.current).name == "l.carry.x");
  CHECK(graph.value(x.next).name == "l.b.latent");
  CHECK(graph.value(x.last).name == "l.x");
  CHECK_FALSE(loop.carries[1].from.has_value());
  CHECK(source_of(graph, "l.a", "latent") == "l.carry.x");
  CHECK(source_of(graph, "l.a", "mask") == "l.carry.y");
  CHECK(source_of(graph, "l.b", "mask") == "s.latent");
  CHECK(source_of(graph, "m", "latent") == "l.y");
  CHECK(node_named(graph, "l.a").place == "g.json: node 'l.a'");
  CHECK(order_text(graph) == "s n l[ l.a l.b ] m ");
}

TEST_CASE("parameters are complete, and inputs give their values") {
  const char* const json = R"({"emulsion": 1,
      "inputs": {"seed": {"type": "int", "default": 3}, "width": {"type": "int"}, "amount": {"type": "int", "default": 2},
                 "scale": {"type": "int", "default": 4}},
      "outputs": {}, "nodes": {
      "s": {"type": "source", "params": {"seed": "$seed", "width": "$width"}},
      "b": {"type": "blur", "params": {"amount": "$amount", "name": "$$x"}, "in": {"latent": "s.latent"}},
      "m": {"type": "measure", "in": {"latent": "b.latent", "scale": "$scale"}},
      "n": {"type": "measure", "in": {"latent": "b.latent", "scale": 2}}}})";
  const Graph graph = graph_of(json);
  const Params& source = node_named(graph, "s").params;
  CHECK(source.get<std::int64_t>("seed") == 3);
  CHECK(source.get<std::string>("mode") == "white");
  CHECK_FALSE(source.has("width"));
  CHECK(node_named(graph, "b").params.get<double>("amount") == 2.0);
  CHECK(node_named(graph, "b").params.get<std::string>("name") == "$x");
  CHECK(std::get<Param>(node_named(graph, "m").inputs.at("scale")) == Param(4.0));
  CHECK(std::get<Param>(node_named(graph, "n").inputs.at("scale")) == Param(2.0));
  const Graph other = graph_of(json, {{"seed", std::int64_t{9}}, {"width", std::int64_t{16}}});
  CHECK(node_named(other, "s").params.get<std::int64_t>("seed") == 9);
  CHECK(node_named(other, "s").params.get<std::int64_t>("width") == 16);
}

TEST_CASE("an unset input leaves an optional port open") {
  const Graph graph = graph_of(R"({"emulsion": 1, "outputs": {},
      "inputs": {"more": {"type": "text"}, "mask": {"type": "latent"}}, "nodes": {
      "s": {"type": "source"}, "b": {"type": "blur", "in": {"latent": "s.latent", "mask": "$mask"}},
      "t": {"type": "speak", "in": {"text": {"text": "hello"}, "again": "$more"}}}})");
  CHECK(source_of(graph, "t", "text") == "hello");
  CHECK_FALSE(node_named(graph, "t").inputs.contains("again"));
  CHECK_FALSE(node_named(graph, "b").inputs.contains("mask"));
}

TEST_CASE("nodes that name one part share its component") {
  const Graph graph = graph_of(R"({"emulsion": 1, "outputs": {},
      "inputs": {"model": {"type": "model", "default": "tiny"}},
      "resources": {"sd": {"type": "checkpoint", "source": "$model"}}, "nodes": {
      "a": {"type": "model_user", "use": {"config": "sd.scheduler", "unet": "sd.unet"}},
      "b": {"type": "model_user", "use": {"config": "sd.unet", "unet": "sd.unet"}}}})",
                               {{"model", std::string("other")}});
  REQUIRE(graph.components.size() == 2);
  CHECK(graph.components[0].name == "sd.scheduler");
  CHECK(graph.components[1].name == "sd.unet");
  CHECK(graph.components[1].part == "unet");
  REQUIRE(graph.resources.size() == 1);
  CHECK(graph.components[1].resource == ResourceId{0});
  CHECK(std::get<Resource::Checkpoint>(graph.resources[0].made).source == "other");
  CHECK(node_named(graph, "a").slots.at("unet") == ComponentId{1});
  CHECK(node_named(graph, "b").slots.at("config") == ComponentId{1});
}

TEST_CASE("bodies of two loops may use the same names") {
  const Graph graph = graph_of(R"({"emulsion": 1, "outputs": {"x": "second.x"}, "nodes": {
      "s": {"type": "source"},
      "second": {"loop": {"count": 3, "carry": {"x": {"from": "first.x", "next": "step.latent"}},
                          "nodes": {"step": {"type": "blur", "in": {"latent": "carry.x"}}}}},
      "first": {"loop": {"count": 2, "carry": {"x": {"from": "s.latent", "next": "step.latent"}},
                         "nodes": {"step": {"type": "blur", "in": {"latent": "carry.x"}}}}}}})");
  CHECK(order_text(graph) == "s first[ first.step ] second[ second.step ] ");
  CHECK(graph.value(graph.loops[0].carries[0].next).name == "second.step.latent");
  CHECK(graph.value(graph.loops[1].carries[0].next).name == "first.step.latent");
}

#include "graph/graph_spec.h"

#include "check.h"

#include "runtime/graph/graph_faults.h"

using namespace emulsion;

TEST_CASE("a document keeps its order and its places") {
  const GraphSpec spec = parse_graph(R"({"emulsion": 1, "nodes": {
      "z": {"type": "speak", "in": {"text": {"text": "a.b"}}},
      "a": {"type": "source", "params": {"mode": "$$x", "seed": "$s"}, "use": {"unet": "sd.unet"}},
      "l": {"loop": {"count": "z.n", "carry": {"c": {"from": 1, "next": "k.out"}},
                     "nodes": {"k": {"type": "blur", "in": {"latent": "carry.c"}}}}}},
    "outputs": {"b": "z.tokens", "a": "l.c"}})",
                                     "folder/some.graph.json");
  CHECK(spec.faults.empty());
  CHECK(spec.name == "some.graph");
  REQUIRE(spec.nodes.size() == 3);
  const auto& z = std::get<NodeSpec>(spec.nodes[0]);
  CHECK(z.name == "z");
  CHECK(z.in[0].path == "/nodes/z/in/text");
  CHECK(std::get<Param>(z.in[0].term) == Param(std::string("a.b")));
  const auto& a = std::get<NodeSpec>(spec.nodes[1]);
  CHECK(std::get<Param>(a.params[0].term) == Param(std::string("$x")));
  CHECK(std::get<InputRef>(a.params[1].term).name == "s");
  CHECK(std::get<WireRef>(a.use[0].term).member == "unet");
  const auto& loop = std::get<LoopSpec>(spec.nodes[2]);
  CHECK(loop.nodes[0].in[0].path == "/nodes/l/loop/nodes/k/in/latent");
  CHECK(std::get<Param>(loop.carries[0].from->term) == Param(std::int64_t{1}));
  CHECK(spec.outputs[0].name == "b");
  CHECK(spec.outputs[1].name == "a");
}

TEST_CASE("inputs are read with all that a host shows") {
  const GraphSpec spec = parse_graph(R"({"emulsion": 1, "nodes": {}, "outputs": {}, "inputs": {
      "w": {"type": "int", "default": 16, "min": 8, "max": 64, "multiple_of": 8, "label": "Width",
            "help": "h", "unit": "pixels", "display_min": 16, "display_max": 32},
      "g": {"type": "float", "default": 5},
      "t": {"type": "text", "default": null, "multiline": true},
      "c": {"type": "choice", "choices": ["a", "b"], "default": "b"}}})",
                                     "g.json");
  CHECK(spec.faults.empty());
  const GraphInput& w = input_named(spec, "w");
  CHECK(w.type == InputType::Int);
  CHECK(*w.fallback == Param(std::int64_t{16}));
  CHECK(w.min == 8);
  CHECK(w.max == 64);
  CHECK(w.multiple_of == 8);
  CHECK(w.label == "Width");
  CHECK(w.unit == "pixels");
  CHECK(w.display_max == 32);
  CHECK(*input_named(spec, "g").fallback == Param(5.0));
  CHECK_FALSE(input_named(spec, "t").fallback.has_value());
  CHECK(input_named(spec, "t").multiline);
  CHECK(input_named(spec, "c").choices == std::vector<std::string>{"a", "b"});
  CHECK_THROWS_WITH_AS(
      input_named(spec, "ww"),
      "g.json: unknown input: expected one of w, g, t, c, got 'ww'; did you mean 'w'?", GraphError);
}

TEST_CASE("faulty inputs are reported, each with its place") {
  CHECK(fakes::faults_of(R"({"emulsion": 1, "nodes": {}, "outputs": {}, "inputs": {
      "a": {"type": "integer"},
      "b": {"type": "int", "default": 7, "min": 8, "max": 2, "multiple_of": 0},
      "c": {"type": "choice", "default": "x"},
      "d": {"type": "choice", "choices": ["a", "a"], "default": "b"},
      "e": {"type": "text", "min": 3, "default": 5},
      "f": {"type": "image", "default": "x.png"},
      "g": {"default": 5},
      "h": {"type": "bool", "default": []},
      "i": {"type": "model", "default": ""}}})") ==
        "g.json: /inputs/a/type: input 'a': unknown type: expected one of model, text, int, float, "
        "bool, choice, image, latent, file, got 'integer'; did you mean 'int'?\n"
        "g.json: /inputs/b/max: input 'b': expected at least min, 8, got 2\n"
        "g.json: /inputs/b/multiple_of: input 'b': expected at least 1, got 0\n"
        "g.json: /inputs/b/default: input 'b': expected at least 8, got 7\n"
        "g.json: /inputs/c/choices: is missing; add the key 'choices'\n"
        "g.json: /inputs/d/choices: input 'd': expected at least one choice, and each one once\n"
        "g.json: /inputs/d/default: input 'd': expected one of a, a, got 'b'\n"
        "g.json: /inputs/e/default: input 'e': expected text, got int '5'\n"
        "g.json: /inputs/e/min: unknown key: expected one of default, help, label, multiline, "
        "type, got 'min'\n"
        "g.json: /inputs/f/default: input 'f': expected null, got a string\n"
        "g.json: /inputs/g/type: is missing; add the key 'type'\n"
        "g.json: /inputs/h/default: input 'h': expected bool, got an array\n"
        "g.json: /inputs/i/default: input 'i': expected a model, got ''");
}

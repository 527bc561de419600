#include "check.h"

#include "runtime/graph/graph_faults.h"

using namespace emulsion;
using fakes::faults_of;

TEST_CASE("text that is not JSON is refused with its line and column") {
  CHECK(faults_of("") ==
        "g.json: line 1, column 1: not JSON: syntax error while parsing value - unexpected end of "
        "input; expected '[', '{', or a literal");
  CHECK(faults_of("{\"emulsion\": 1,\n  \"nodes\": {,}}") ==
        "g.json: line 2, column 13: not JSON: syntax error while parsing object key - unexpected "
        "','; expected string literal");
  CHECK(faults_of("{\"emulsion\": 1}}") ==
        "g.json: line 1, column 16: not JSON: syntax error while parsing value - unexpected '}'; "
        "expected end of input");
  CHECK(faults_of("{\"emulsion\": \"\xff\"}") ==
        "g.json: line 1, column 15: not JSON: syntax error while parsing value - invalid string: "
        "ill-formed UTF-8 byte");
  CHECK(faults_of("[1, 2]") == "g.json: expected an object, got an array");
  CHECK(faults_of("{\"emulsion\": 1, \"nodes\": 1e999}") ==
        "g.json: number overflow parsing '1e999': expected numbers of 64 bits");
  CHECK(faults_of(std::string(100'000, '[')) ==
        "g.json: nesting: expected at most 64 levels, got more");
}

TEST_CASE("a document of no version or another one is refused") {
  CHECK(faults_of(R"({"nodes": {}})") ==
        "g.json: /emulsion: no version: expected \"emulsion\": 1; add it if this is a graph of "
        "Emulsion");
  CHECK(faults_of(R"({"emulsion": 2, "nodes": 7})") ==
        "g.json: /emulsion: unknown version: expected \"emulsion\": 1, got 2; it was made by "
        "another version of Emulsion");
  CHECK(faults_of(R"({"emulsion": "1"})") ==
        "g.json: /emulsion: unknown version: expected \"emulsion\": 1, got a string; it was made "
        "by another version of Emulsion");
}

TEST_CASE("every fault of the form is reported at once") {
  CHECK(
      faults_of(R"({"emulsion": 1, "input": {}, "resources": [],
                      "nodes": {"a": 5, "b c": {"type": "counter"}, "loop": {"type": "counter"},
                                "d": {"type": 3, "in": {"x": null}, "params": {"y": []}, "use": {"z": "sd"}, "out": {}}},
                      "outputs": {"image": "$prompt"}})") ==
      "g.json: /resources: expected an object, got an array\n"
      "g.json: /nodes/a: expected an object, got a whole number\n"
      "g.json: /nodes/b c: expected a name of 1 to 64 letters, digits, '_' and '-' that starts "
      "with a letter, got 'b c'\n"
      "g.json: /nodes/loop: node 'loop': the name is reserved for the body of a loop; rename it\n"
      "g.json: /nodes/d/type: expected a string, got a whole number\n"
      "g.json: /nodes/d/use/z: expected \"resource.part\", got 'sd'\n"
      "g.json: /nodes/d/params/y: expected a bool, a number, a string or \"$input\", got an array\n"
      "g.json: /nodes/d/in/x: expected \"$input\", \"node.output\", a number, a bool or {\"text\": "
      "\"…\"}, got null\n"
      "g.json: /nodes/d/out: unknown key: expected one of in, params, type, use, got 'out'\n"
      "g.json: /outputs/image: expected \"node.output\", got '$prompt'\n"
      "g.json: /input: unknown key: expected one of $schema, description, emulsion, inputs, nodes, "
      "outputs, resources, got 'input'; did you mean 'inputs'?");
}

TEST_CASE("a key that is there twice is refused") {
  CHECK(
      faults_of(
          R"({"emulsion": 1, "outputs": {}, "nodes": {"a": {"type": "counter"}, "a": {"type": "counter"}}})") ==
      "g.json: /nodes/a: key 'a' is there twice: expected once; remove one");
}

TEST_CASE("an input that is connected twice is refused") {
  CHECK(faults_of(R"({"emulsion": 1, "outputs": {}, "nodes": {
    "s": {"type": "source"},
    "b": {"type": "blur", "in": {"latent": "s.latent", "latent": "s.latent"}}}})") ==
        "g.json: /nodes/b/in/latent: node 'b': input 'latent' is connected twice: expected one "
        "connection; remove one");
}

TEST_CASE(
    "unknown node types, nodes, ports, inputs, parameters, slots and resources have near names") {
  CHECK(faults_of(R"({"emulsion": 1,
    "inputs": {"prompt": {"type": "text", "default": ""}},
    "resources": {"sd": {"type": "checkpoint", "source": "tiny"}},
    "nodes": {
      "s": {"type": "sorce"},
      "t": {"type": "source", "params": {"sead": 3}},
      "m": {"type": "model_user", "use": {"confg": "sd.unet", "unet": "ds.unet"}},
      "b": {"type": "blur", "in": {"latnet": "t.latent", "latent": "tt.latent"}},
      "c": {"type": "blur", "in": {"latent": "t.image", "amount": 1}, "params": {"mask": 1}},
      "d": {"type": "speak", "in": {"text": "$promt"}}},
    "outputs": {"image": "q.image", "latent": "t.latnt"}})") ==
        "g.json: /nodes/s/type: node 's': unknown node type: expected one of 17 names, got "
        "'sorce'; did you mean 'source'?\n"
        "g.json: /nodes/t/params/sead: node 't': unknown parameter of source: expected one of "
        "mode, seed, width, got 'sead'; did you mean 'seed'?\n"
        "g.json: /nodes/m/use/confg: node 'm': unknown slot of model_user: expected one of config, "
        "unet, got 'confg'; did you mean 'config'?\n"
        "g.json: /nodes/m/use/config: node 'm', slot 'config' is not bound: expected "
        "\"resource.part\", got nothing; add it under 'use'\n"
        "g.json: /nodes/m/use/unet: node 'm', slot 'unet': unknown resource: expected sd, got "
        "'ds'; did you mean 'sd'?\n"
        "g.json: /nodes/b/in/latnet: node 'b': unknown input of blur: expected one of latent, "
        "mask, got 'latnet'; did you mean 'latent'?\n"
        "g.json: /nodes/b/in/latent: node 'b', input 'latent': unknown node: expected one of b, c, "
        "d, m, s, t, got 'tt'; did you mean 't'?\n"
        "g.json: /nodes/c/params/mask: node 'c': unknown parameter of blur: expected one of "
        "amount, name, fast, got 'mask'; it is an input, connect it under 'in'\n"
        "g.json: /nodes/c/in/amount: node 'c': unknown input of blur: expected one of latent, "
        "mask, got 'amount'; it is a parameter, set it under 'params'\n"
        "g.json: /nodes/c/in/latent: node 'c', input 'latent': unknown output of node 't' "
        "(source): expected latent, got 'image'\n"
        "g.json: /nodes/d/in/text: node 'd', input 'text': unknown input: expected prompt, got "
        "'promt'; did you mean 'prompt'?\n"
        "g.json: /outputs/image: output 'image': unknown node: expected one of b, c, d, m, s, t, "
        "got 'q'\n"
        "g.json: /outputs/latent: output 'latent': unknown output of node 't' (source): expected "
        "latent, got 'latnt'; did you mean 'latent'?");
}

TEST_CASE("a required input that nothing feeds is refused") {
  CHECK(faults_of(R"({"emulsion": 1, "outputs": {}, "nodes": {"b": {"type": "blur"}}})") ==
        "g.json: /nodes/b/in/latent: node 'b', input 'latent' is not connected: expected latent "
        "[B, 4, H/8, W/8], float32, got nothing; add it under 'in'");
}

TEST_CASE("a slot that nothing is bound to is refused") {
  CHECK(faults_of(R"({"emulsion": 1, "outputs": {}, "nodes": {"m": {"type": "model_user"}}})") ==
        "g.json: /nodes/m/use/config: node 'm', slot 'config' is not bound: expected "
        "\"resource.part\", got nothing; add it under 'use'\n"
        "g.json: /nodes/m/use/unet: node 'm', slot 'unet' is not bound: expected "
        "\"resource.part\", got nothing; add it under 'use'");
}

TEST_CASE("a wire of the wrong type is refused with what it should be and who gives it") {
  CHECK(faults_of(R"({"emulsion": 1, "outputs": {}, "nodes": {
    "s": {"type": "source"},
    "i": {"type": "measure", "in": {"latent": "s.latent"}},
    "b": {"type": "blur", "in": {"latent": "i.image"}},
    "c": {"type": "measure", "in": {"latent": 3, "scale": {"text": "x"}}}}})") ==
        "g.json: /nodes/b/in/latent: node 'b', input 'latent': expected latent [B, 4, H/8, W/8], "
        "float32, got image [B, 3, H, W], float32, 0..1, sRGB from 'i.image'; nodes that give "
        "latent: blur, latent_noise, model_user, sampler_step, source, tensor_read, unet_step\n"
        "g.json: /nodes/c/in/latent: node 'c', input 'latent': expected latent [B, 4, H/8, W/8], "
        "float32, got the constant '3' of type int; nodes that give latent: blur, latent_noise, "
        "model_user, sampler_step, source, tensor_read, unet_step\n"
        "g.json: /nodes/c/in/scale: node 'c', input 'scale': expected float, got the constant 'x' "
        "of type text; no node gives float");
}

TEST_CASE("a graph's input of the wrong type is refused") {
  CHECK(
      faults_of(
          R"({"emulsion": 1, "inputs": {"p": {"type": "text", "default": "x"}, "f": {"type": "float", "default": 1}},
    "outputs": {}, "nodes": {
    "s": {"type": "source", "params": {"seed": "$p", "width": "$f"}},
    "c": {"type": "measure", "in": {"latent": "s.latent", "scale": "$p"}}}})") ==
      "g.json: /nodes/s/params/seed: node 's', parameter 'seed': expected int, got input 'p' of "
      "type text\n"
      "g.json: /nodes/s/params/width: node 's', parameter 'width': expected int, got input 'f' of "
      "type float\n"
      "g.json: /nodes/c/in/scale: node 'c', input 'scale': expected float, got input 'p' of type "
      "text; no node gives float");
}

TEST_CASE("parameters of the wrong kind, out of range, off the step or not a choice are refused") {
  CHECK(faults_of(R"({"emulsion": 1, "outputs": {}, "nodes": {
    "a": {"type": "source", "params": {"seed": -1, "width": 20, "mode": "pnik"}},
    "b": {"type": "source", "params": {"seed": 1.5, "width": 128, "mode": 3}},
    "c": {"type": "source", "params": {"width": 0, "seed": 18446744073709551615}},
    "d": {"type": "blur", "in": {"latent": "a.latent"}, "params": {"amount": 0.25, "fast": 1}}}})") ==
        "g.json: /nodes/a/params/mode: node 'a', parameter 'mode': expected one of white, pink, "
        "got 'pnik'; did you mean 'pink'?\n"
        "g.json: /nodes/a/params/seed: node 'a', parameter 'seed': expected at least 0, got -1\n"
        "g.json: /nodes/a/params/width: node 'a', parameter 'width': expected a multiple of 8 in "
        "8..64, got 20; nearest are 16 and 24\n"
        "g.json: /nodes/b/params/mode: node 'b', parameter 'mode': expected string, got int '3'\n"
        "g.json: /nodes/b/params/seed: node 'b', parameter 'seed': expected int, got float '1.5'\n"
        "g.json: /nodes/b/params/width: node 'b', parameter 'width': expected a multiple of 8 in "
        "8..64, got 128\n"
        "g.json: /nodes/c/params/seed: node 'c', parameter 'seed': expected int, got float "
        "'18446744073709551616'\n"
        "g.json: /nodes/c/params/width: node 'c', parameter 'width': expected a multiple of 8 in "
        "8..64, got 0\n"
        "g.json: /nodes/d/params/amount: node 'd', parameter 'amount': expected 0.5..4, got 0.25\n"
        "g.json: /nodes/d/params/fast: node 'd', parameter 'fast': expected bool, got int '1'");
}

TEST_CASE("a value that a parameter refuses names the input that it came from") {
  CHECK(faults_of(R"({"emulsion": 1, "inputs": {"w": {"type": "int"}}, "outputs": {}, "nodes": {
    "a": {"type": "source", "params": {"width": "$w"}}}})",
                  {{"w", std::int64_t{100}}}) ==
        "g.json: /nodes/a/params/width: node 'a', parameter 'width' from input 'w': expected a "
        "multiple of 8 in 8..64, got 100");
}

TEST_CASE("an input may not offer a choice that its parameter does not have") {
  CHECK(faults_of(R"({"emulsion": 1,
    "inputs": {"m": {"type": "choice", "choices": ["white", "blue"], "default": "white"}},
    "outputs": {}, "nodes": {"a": {"type": "source", "params": {"mode": "$m"}}}})") ==
        "g.json: /nodes/a/params/mode: node 'a', parameter 'mode': a choice of input 'm': expected "
        "one of white, pink, got 'blue'");
}

TEST_CASE("values for inputs that are unknown, of the wrong kind or out of range are refused") {
  const char* const graph = R"({"emulsion": 1,
    "inputs": {"steps": {"type": "int", "default": 2, "min": 1}, "image": {"type": "image"}},
    "outputs": {}, "nodes": {"c": {"type": "counter", "params": {"steps": "$steps"}}}})";
  CHECK(faults_of(graph, {{"stpes", std::int64_t{3}}}) ==
        "g.json: /inputs: unknown input: expected one of steps, image, got 'stpes'; did you mean "
        "'steps'?");
  CHECK(faults_of(graph, {{"steps", 2.5}}) ==
        "g.json: /inputs/steps: input 'steps': expected int, got float '2.5'");
  CHECK(faults_of(graph, {{"steps", std::int64_t{0}}}) ==
        "g.json: /inputs/steps: input 'steps': expected at least 1, got 0");
  CHECK(faults_of(graph, {{"image", std::string("a.png")}}) ==
        "g.json: /inputs/image: input 'image': expected a node that reads the file, got its name "
        "'a.png'; bind the file first");
}

TEST_CASE("an input without a value is reported once, unless that is fine") {
  const char* const graph =
      R"({"emulsion": 1, "inputs": {"p": {"type": "text"}, "m": {"type": "model"}},
    "resources": {"sd": {"type": "checkpoint", "source": "$m"}}, "outputs": {}, "nodes": {
    "a": {"type": "speak", "in": {"text": "$p"}}, "b": {"type": "speak", "in": {"text": "$p"}}}})";
  CHECK(faults_of(graph) ==
        "g.json: /inputs/m: input 'm' has no value: expected model for resource 'sd'; set it, or "
        "give it a default\n"
        "g.json: /inputs/p: input 'p' has no value: expected text for node 'a', input 'text'; set "
        "it, or give it a default");
  CHECK(faults_of(graph, {}, Unset::IsFine) == "");
}

TEST_CASE("a cycle is refused and names its nodes") {
  CHECK(faults_of(R"({"emulsion": 1, "outputs": {}, "nodes": {
    "s": {"type": "source"},
    "after": {"type": "blur", "in": {"latent": "b.latent"}},
    "a": {"type": "blur", "in": {"latent": "b.latent"}},
    "b": {"type": "blur", "in": {"latent": "c.latent", "mask": "s.latent"}},
    "c": {"type": "blur", "in": {"latent": "a.latent"}},
    "d": {"type": "blur", "in": {"latent": "d.latent"}}}})") ==
        "g.json: /nodes/a: cycle 'a' -> 'c' -> 'b' -> 'a': expected no value that needs itself; a "
        "value that goes round belongs to a loop's 'carry'\n"
        "g.json: /nodes/d: cycle 'd' -> 'd': expected no value that needs itself; a value that "
        "goes round belongs to a loop's 'carry'");
}

TEST_CASE("a cycle inside of a loop's body, and one through a loop, are refused") {
  CHECK(faults_of(R"({"emulsion": 1, "outputs": {}, "nodes": {
    "l": {"loop": {"count": 2, "carry": {"x": {"from": "after.latent", "next": "a.latent"}}, "nodes": {
      "a": {"type": "blur", "in": {"latent": "b.latent"}},
      "b": {"type": "blur", "in": {"latent": "a.latent"}}}}},
    "after": {"type": "blur", "in": {"latent": "l.x"}}}})") ==
        "g.json: /nodes/l/loop/nodes: cycle 'l.a' -> 'l.b' -> 'l.a': expected no value that needs "
        "itself; a value that goes round belongs to a loop's 'carry'\n"
        "g.json: /nodes/l: cycle 'l' -> 'after' -> 'l': expected no value that needs itself; a "
        "value that goes round belongs to a loop's 'carry'");
}

TEST_CASE("a loop carry without next is refused") {
  CHECK(faults_of(R"({"emulsion": 1, "outputs": {}, "nodes": {
    "s": {"type": "source"},
    "l": {"loop": {"count": 2, "carry": {"x": {"from": "s.latent"}}, "nodes": {
      "a": {"type": "blur", "in": {"latent": "carry.x"}}}}}}})") ==
        "g.json: /nodes/l/loop/carry/x/next: carry 'x' has no next: expected \"node.output\" of a "
        "node in the loop; add the key 'next'");
}

TEST_CASE("a loop's count must be a whole number of at least 1") {
  const auto counted = [](const std::string& count) {
    return faults_of(R"({"emulsion": 1, "outputs": {}, "nodes": {"s": {"type": "source"},
      "l": {"loop": {"count": )" +
                     count + R"(, "nodes": {"a": {"type": "counter"}}}}}})");
  };
  CHECK(counted("0") == "g.json: /nodes/l/loop/count: loop 'l', count: expected at least 1, got 0");
  CHECK(counted("2.5") ==
        "g.json: /nodes/l/loop/count: loop 'l', count: expected int, got the constant '2.5' of "
        "type float; nodes that give int: counter, scheduler");
  CHECK(counted("\"s.latent\"") ==
        "g.json: /nodes/l/loop/count: loop 'l', count: expected int, got latent [B, 4, H/8, W/8], "
        "float32 from 's.latent'; nodes that give int: counter, scheduler");
  CHECK(counted("\"a.number\"") ==
        "g.json: /nodes/l/loop/count: loop 'l', count: 'a' is inside of loop 'l': expected a carry "
        "of the loop (none), got 'a.number'; read \"l.<carry>\"");
}

TEST_CASE("wires across the border of a loop are refused, except through carries") {
  CHECK(faults_of(R"({"emulsion": 1, "nodes": {
    "s": {"type": "source"},
    "l": {"loop": {"count": 2, "carry": {"x": {"from": "s.latent", "next": "a.latent"},
                                         "y": {"from": "carry.x", "next": "s.latent"},
                                         "z": {"from": "s.latent", "next": "carry.x"}}, "nodes": {
      "a": {"type": "blur", "in": {"latent": "carry.w", "mask": "loop.count"}},
      "b": {"type": "blur", "in": {"latent": "l.x", "mask": "carry.x"}}}}},
    "m": {"type": "blur", "in": {"latent": "a.latent", "mask": "l.a.latent"}}},
    "outputs": {"latent": "carry.x", "last": "b.latent"}})") ==
        "g.json: /nodes/l/loop/carry/y/from: loop 'l', carry 'y', from: 'carry.x' is read outside "
        "of a loop: expected \"node.output\"; outside, the carries of a loop are read as "
        "\"<loop>.<carry>\"\n"
        "g.json: /nodes/l/loop/carry/y/next: loop 'l', carry 'y', next: expected an output of a "
        "node in the loop (a, b), got 's.latent'\n"
        "g.json: /nodes/l/loop/carry/z/next: loop 'l', carry 'z', next: expected an output of a "
        "node in the loop (a, b), got 'carry.x'\n"
        "g.json: /nodes/l/loop/nodes/a/in/latent: node 'l.a', input 'latent': unknown carry of "
        "loop 'l': expected one of x, y, z, got 'w'\n"
        "g.json: /nodes/l/loop/nodes/a/in/mask: node 'l.a', input 'mask': unknown value of the "
        "loop: expected index, got 'count'\n"
        "g.json: /nodes/l/loop/nodes/b/in/latent: node 'l.b', input 'latent': 'l.x' is there only "
        "after the loop: expected \"carry.x\" in its body\n"
        "g.json: /nodes/m/in/latent: node 'm', input 'latent': 'a' is inside of loop 'l': expected "
        "a carry of the loop (x, y, z), got 'a.latent'; read \"l.<carry>\"\n"
        "g.json: /nodes/m/in/mask: node 'm', input 'mask': unknown carry of loop 'l': expected one "
        "of x, y, z, got 'a.latent'\n"
        "g.json: /outputs/latent: output 'latent': 'carry.x' is read outside of a loop: expected "
        "\"node.output\"; outside, the carries of a loop are read as \"<loop>.<carry>\"\n"
        "g.json: /outputs/last: output 'last': 'b' is inside of loop 'l': expected a carry of the "
        "loop (x, y, z), got 'b.latent'; read \"l.<carry>\"");
}

TEST_CASE("what a carry starts with must be of the type of what goes on") {
  CHECK(
      faults_of(R"({"emulsion": 1, "outputs": {}, "nodes": {
    "s": {"type": "source"}, "i": {"type": "measure", "in": {"latent": "s.latent"}},
    "l": {"loop": {"count": 2, "carry": {"x": {"from": "i.image", "next": "a.latent"}}, "nodes": {
      "a": {"type": "blur", "in": {"latent": "carry.x"}}}}}}})") ==
      "g.json: /nodes/l/loop/carry/x/from: loop 'l', carry 'x', from: expected latent [B, 4, H/8, "
      "W/8], float32, got image [B, 3, H, W], float32, 0..1, sRGB from 'i.image'; nodes that give "
      "latent: blur, latent_noise, model_user, sampler_step, source, tensor_read, unet_step");
}

TEST_CASE("a carry that starts absent may only feed optional inputs") {
  CHECK(faults_of(R"({"emulsion": 1, "outputs": {}, "nodes": {
    "s": {"type": "source"},
    "l": {"loop": {"count": 2, "carry": {"x": {"next": "a.latent"}}, "nodes": {
      "a": {"type": "blur", "in": {"latent": "carry.x", "mask": "carry.x"}}}}}}})") ==
        "g.json: /nodes/l/loop/nodes/a/in/latent: node 'l.a', input 'latent': carry 'x' has no "
        "value in the first iteration: expected an optional input; give the carry a 'from'");
}

TEST_CASE("loops do not nest, and hide no outer names") {
  CHECK(faults_of(R"({"emulsion": 1, "outputs": {}, "nodes": {
    "a": {"type": "counter"},
    "l": {"loop": {"count": 2, "nodes": {
      "a": {"type": "counter"}, "m": {"loop": {"count": 2, "nodes": {}}}}}}}})") ==
        "g.json: /nodes/l/loop/nodes/m: a loop in loop 'l': expected nodes; loops do not nest\n"
        "g.json: /nodes/l/loop/nodes/a: node 'l.a': the name 'a' is taken outside of the loop: "
        "expected another; rename one");
}

TEST_CASE("a checkpoint's source is a model") {
  CHECK(
      faults_of(
          R"({"emulsion": 1, "outputs": {}, "nodes": {}, "inputs": {"p": {"type": "text", "default": ""}},
    "resources": {"a": {"type": "checkpont", "source": "x"}, "b": {"type": "checkpoint"},
                  "c": {"type": "checkpoint", "source": "$p"}, "d": {"type": "checkpoint", "source": 3}}})") ==
      "g.json: /resources/b/source: is missing; add the key 'source'\n"
      "g.json: /resources/a/type: resource 'a': unknown type: expected one of "
      "checkpoint, merge, lora, got 'checkpont'; did you mean 'checkpoint'?\n"
      "g.json: /resources/c/source: resource 'c': expected an input of type model, got input 'p' "
      "of type text\n"
      "g.json: /resources/d/source: resource 'd': expected a model, got int 3");
}

TEST_CASE("what a faulty input feeds is not reported as well") {
  CHECK(faults_of(R"({"emulsion": 1, "outputs": {},
    "inputs": {"a": {"type": "itn"}, "b": {"type": "int", "min": 3, "default": 2}},
    "nodes": {"s": {"type": "source", "params": {"seed": "$a", "width": "$b"}}}})") ==
        "g.json: /inputs/a/type: input 'a': unknown type: expected one of model, text, int, float, "
        "bool, choice, image, latent, file, got 'itn'; did you mean 'int'?\n"
        "g.json: /inputs/b/default: input 'b': expected at least 3, got 2");
}

TEST_CASE("a loop whose count comes from an unknown node is not taken for a cycle") {
  const std::string faults = faults_of(R"({"emulsion": 1, "nodes": {
      "n": {"type": "countre"},
      "l": {"loop": {"count": "n.number", "carry": {}, "nodes": {"s": {"type": "source"}}}}}})");
  CHECK(faults.find("unknown node type") != std::string::npos);
  CHECK(faults.find("cycle") == std::string::npos);
}

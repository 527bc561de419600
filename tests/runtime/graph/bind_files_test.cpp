#include "graph/bind_files.h"

#include <functional>

#include "check.h"
#include "runtime/graph/graph_faults.h"

using namespace emulsion;

namespace {

GraphSpec image_graph() {
  return parse_graph(R"({"emulsion": 1,
    "inputs": {"start": {"type": "latent"}, "image": {"type": "image"}, "seed": {"type": "int", "default": 1}},
    "nodes": {
      "l": {"loop": {"count": 2, "carry": {"x": {"from": "$start", "next": "a.latent"}}, "nodes": {
        "a": {"type": "blur", "in": {"latent": "$start", "mask": "carry.x"}}}}},
      "m": {"type": "measure", "in": {"latent": "l.x"}}},
    "outputs": {"image": "m.image", "latent": "l.x", "broken": "m.nothing"}})",
                     "g.json");
}

std::string refusal(const std::function<void(GraphSpec&)>& bind) {
  GraphSpec spec = image_graph();
  try {
    bind(spec);
    return "";
  } catch (const GraphError& error) {
    return error.what();
  }
}

const GraphNode* find_node(const Graph& graph, const std::string& name) {
  for (const GraphNode& node : graph.nodes)
    if (node.name == name) return &node;
  return nullptr;
}

}  // namespace

TEST_CASE("files are bound to outputs and inputs by nodes that fit type and ending") {
  GraphSpec spec = image_graph();
  spec.outputs.pop_back();
  bind_input_file(spec, fakes::catalog(), "start", "in.safetensors");
  CHECK(bind_output_file(spec, fakes::catalog(), "image", "out/A.PNG") == "write_image");
  CHECK(bind_output_file(spec, fakes::catalog(), "latent", "l.safetensors") == "write_latent");
  const Graph graph = validate(spec, fakes::catalog(), {});

  const GraphNode* write = find_node(graph, "write_image");
  REQUIRE(write != nullptr);
  CHECK(write->type->id == "image_write");
  CHECK(write->params.get<std::string>("path") == "out/A.PNG");
  CHECK(graph.value(std::get<ValueId>(write->inputs.at("image"))).name == "m.image");
  CHECK(find_node(graph, "write_latent")->type->id == "tensor_write");
  CHECK(graph.outputs.back().name == "write_latent");
  CHECK(graph.value(graph.outputs.back().value).name == "write_latent.paths");

  const GraphNode* body = find_node(graph, "l.a");
  CHECK(graph.value(std::get<ValueId>(body->inputs.at("latent"))).name == "read_start.latent");
  CHECK(graph.value(std::get<ValueId>(*graph.loops[0].carries[0].from)).name ==
        "read_start.latent");
  CHECK(find_node(graph, "read_start")->params.get<std::string>("path") == "in.safetensors");
}

TEST_CASE("a name that the graph uses is not taken twice") {
  GraphSpec spec = parse_graph(R"({"emulsion": 1, "nodes": {"write_x": {"type": "source"}},
                                   "outputs": {"x": "write_x.latent"}})",
                               "g.json");
  CHECK(bind_output_file(spec, fakes::catalog(), "x", "a.safetensors") == "write_x_");
  CHECK(validate(spec, fakes::catalog(), {}).nodes.size() == 2);
}

TEST_CASE("unknown outputs, inputs and endings are refused") {
  const NodeCatalog& nodes = fakes::catalog();
  CHECK(refusal([&](GraphSpec& s) { bind_output_file(s, nodes, "imag", "a.png"); }) ==
        "g.json: unknown output: expected one of image, latent, broken, got 'imag'; did you mean "
        "'image'?");
  CHECK(refusal([&](GraphSpec& s) { bind_output_file(s, nodes, "image", "a.gif"); }) ==
        "g.json: output 'image': no node writes image: expected a file name that ends with .exr or "
        ".png, got 'a.gif'");
  CHECK(refusal([&](GraphSpec& s) { bind_output_file(s, nodes, "latent", "a"); }) ==
        "g.json: output 'latent': no node writes latent: expected a file name that ends with "
        ".safetensors, got 'a'");
  CHECK(refusal([&](GraphSpec& s) { bind_output_file(s, {}, "latent", "a.png"); }) == "");
  CHECK(refusal([&](GraphSpec& s) { bind_input_file(s, nodes, "imge", "a.png"); }) ==
        "g.json: unknown input: expected one of start, image, seed, got 'imge'; did you mean "
        "'image'?");
  CHECK(refusal([&](GraphSpec& s) { bind_input_file(s, nodes, "seed", "a.png"); }) ==
        "g.json: input 'seed': expected an image or a latent, got int; set its value instead");
  CHECK(refusal([&](GraphSpec& s) { bind_input_file(s, nodes, "image", "a.exr"); }) ==
        "g.json: input 'image': no node reads image: expected a file name that ends with .jpg or "
        ".png, got 'a.exr'");
  CHECK(refusal([&](GraphSpec& s) { bind_input_file(s, {}, "image", "a.exr"); }) ==
        "g.json: input 'image': no node reads image: expected a file name that ends with nothing, "
        "since no such node is loaded, got 'a.exr'");
}

TEST_CASE("an output that the document gets wrong is left to validation") {
  GraphSpec spec = image_graph();
  CHECK(bind_output_file(spec, fakes::catalog(), "broken", "a.png") == "");
  CHECK(spec.nodes.size() == 2);
}

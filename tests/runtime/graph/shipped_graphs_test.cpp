#include "check.h"

#include <fstream>
#include <iterator>

#include "runtime/graph/graph_faults.h"

using namespace emulsion;

namespace {

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

GraphSpec shipped(const std::string& name) {
  return parse_graph(text_of("../graphs/" + name), name);
}

}  // namespace

TEST_CASE("text to image has the inputs and outputs that hosts rely on") {
  const GraphSpec spec = shipped("sd21_txt2img.json");
  std::string inputs, outputs;
  for (const GraphInput& input : spec.inputs) inputs += input.name + " ";
  for (const Entry& output : spec.outputs) outputs += output.name + " ";
  CHECK(inputs ==
        "model unet vae weight_dtype prompt negative_prompt embeddings width height steps guidance "
        "guidance_begin guidance_end cache_interval cache_branch skip_threshold merge_ratio seed "
        "sampler schedule batch ");
  CHECK(outputs == "image latent ");
}

TEST_CASE("text to image is valid, and its default size is the model's") {
  const Graph graph = validate(shipped("sd21_txt2img.json"), fakes::catalog(), {});
  CHECK(graph.name == "sd21_txt2img");
  std::string names;
  for (const GraphNode& node : graph.nodes) names += node.name + " ";
  CHECK(names ==
        "tokens negative_tokens encode negative_encode schedule noise denoise.unet denoise.step "
        "decode ");
  CHECK(graph.order.size() == 8);
  CHECK_FALSE(graph.nodes[5].params.has("width"));
  CHECK(graph.components.size() == 5);
  const Resource& model = graph.resource(graph.components[0].resource);
  CHECK(std::get<Resource::Checkpoint>(model.made).source == "tiny-sd21");
}

TEST_CASE("the example of the documentation is valid") {
  const std::string page = text_of("../docs/graph_format.md");
  const std::size_t start = page.find("```json\n") + 8;
  const Graph graph = fakes::graph_of(page.substr(start, page.find("```", start) - start));
  CHECK(graph.nodes.size() == 7);
  CHECK(graph.loops.size() == 1);
}

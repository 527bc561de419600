#include "check.h"

#include "emulsion/str.h"
#include "runtime/graph/graph_faults.h"

using namespace emulsion;
using fakes::graph_of;
using fakes::Values;

namespace {

// A graph whose one node uses the UNet of the resource `used`.
Graph graph_with(const std::string& resources, const std::string& used, const Values& values = {}) {
  return graph_of(str(R"({"emulsion": 1, "outputs": {}, "inputs": {
      "vae": {"type": "model"}, "lora": {"type": "text"},
      "strength": {"type": "float", "default": 0.5}},
      "resources": )",
                      resources, R"(, "nodes": {"a": {"type": "model_user", "use": {
        "config": "sd.scheduler", "unet": ")",
                      used, R"(.unet"}}}})"),
                  values);
}

const char* const kStyled = R"({
    "styled": {"type": "lora", "base": "sd", "source": "$lora", "strength": "$strength",
               "blocks": {"unet.down_blocks": 0.25}},
    "sd": {"type": "checkpoint", "source": "tiny", "parts": {"vae": "$vae"}}})";

const Resource& model_of(const Graph& graph, std::string_view component) {
  for (const ComponentRef& ref : graph.components)
    if (ref.name == component) return graph.resource(ref.resource);
  throw GraphError("no such component");
}

}  // namespace

TEST_CASE("an unset input leaves a model its own part") {
  const Graph own = graph_with(kStyled, "sd");
  CHECK(std::get<Resource::Checkpoint>(model_of(own, "sd.unet").made).parts.empty());
  const Graph other = graph_with(kStyled, "sd", {{"vae", std::string("v.safetensors")}});
  CHECK(std::get<Resource::Checkpoint>(model_of(other, "sd.unet").made).parts ==
        std::map<std::string, std::string>{{"vae", "v.safetensors"}});
}

TEST_CASE("a model's weights are as the run has them unless it says int8, itself or by an input") {
  const auto dtype = [](const std::string& more, const Values& values) {
    const Graph graph =
        graph_with(R"({"sd": {"type": "checkpoint", "source": "tiny")" + more + "}}", "sd", values);
    return std::get<Resource::Checkpoint>(model_of(graph, "sd.unet").made).weight_dtype;
  };
  CHECK(dtype("", {}) == "default");
  CHECK(dtype(R"(, "weight_dtype": "int8")", {}) == "int8");
  CHECK(dtype(R"(, "weight_dtype": "$lora")", {}) == "default");
  CHECK(dtype(R"(, "weight_dtype": "$lora")", {{"lora", std::string("int8")}}) == "int8");
}

TEST_CASE("a lora without files is its base, and shares its parts") {
  for (const Values& values : {Values{}, Values{{"lora", std::string(" , ")}}}) {
    const Graph graph = graph_with(kStyled, "styled", values);
    CHECK(graph.resources.size() == 1);
    CHECK(model_of(graph, "sd.unet").name == "sd");
  }
}

TEST_CASE("a list of files has strengths of its own, times the resource's") {
  const Graph graph =
      graph_with(kStyled, "styled", {{"lora", std::string("a.safetensors, d/b:c:0.6\n x:y :-2 ")}});
  const auto& lora = std::get<Resource::Lora>(model_of(graph, "styled.unet").made);
  REQUIRE(lora.adapters.size() == 3);
  CHECK(lora.adapters[0].source == "a.safetensors");
  CHECK(lora.adapters[0].strength == 0.5);
  CHECK(lora.adapters[1].source == "d/b:c");
  CHECK(lora.adapters[1].strength == 0.5 * 0.6);
  CHECK(lora.adapters[2].source == "x:y");
  CHECK(lora.adapters[2].strength == 0.5 * -2);
  CHECK(lora.blocks == std::map<std::string, double>{{"unet.down_blocks", 0.25}});
  CHECK(graph.resource(lora.base).name == "sd");
}

TEST_CASE("resources stand behind those that they are made from") {
  const Graph graph = graph_with(R"({
      "all": {"type": "merge", "a": "mix", "b": "c", "ratio": 1, "ratios": {"vae": 0}},
      "mix": {"type": "merge", "a": "sd", "b": "c", "ratio": "$strength"},
      "c": {"type": "checkpoint", "source": "other"},
      "sd": {"type": "checkpoint", "source": "tiny"}})",
                                 "all");
  std::string names;
  for (const Resource& resource : graph.resources) names += resource.name + " ";
  CHECK(names == "sd c mix all ");
  const auto& all = std::get<Resource::Merge>(graph.resources[3].made);
  CHECK(all.a == ResourceId{2});
  CHECK(all.b == ResourceId{1});
  CHECK(all.ratio == 1);
  CHECK(all.ratios == std::map<std::string, double>{{"vae", 0}});
  CHECK(std::get<Resource::Merge>(graph.resources[2].made).ratio == 0.5);
  CHECK(graph.resources[3].place == "g.json: resource 'all'");
}

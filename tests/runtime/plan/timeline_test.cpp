#include "plan/timeline.h"

#include "check.h"

#include "fakes/fake_pipeline.h"

using namespace emulsion;

namespace {

std::vector<std::string> runs(const Graph& graph, const StartingPoint& start = {}) {
  std::vector<std::string> names;
  for (const NodeId node : make_timeline(graph, start).runs) names.push_back(graph.node(node).name);
  return names;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a loop's body takes one position a node") {
  const Timeline timeline = make_timeline(fakes::Pipeline().graph);
  CHECK(timeline.runs.size() == 5);
  CHECK(timeline.loops[0].begin == 2);
  CHECK(timeline.loops[0].end == 4);
}

TEST_CASE("a node that nothing asks for is not run") {
  fakes::Pipeline pipeline;
  pipeline.graph.outputs = {{"latent", pipeline.graph.loops[0].carries[0].last}};
  CHECK((runs(pipeline.graph) == Names{"encode", "noise", "denoise.unet", "denoise.step"}));
}

TEST_CASE("a node with effects is run though nothing asks for it") {
  NodeDescriptor decode = fakes::decode_node();
  decode.has_effects = true;
  fakes::Pipeline pipeline({decode});
  pipeline.graph.outputs.clear();
  CHECK(runs(pipeline.graph).back() == "decode");
}

TEST_CASE("what only made a value that is there already is not run") {
  const fakes::Pipeline pipeline;
  StartingPoint start;
  start.values = {pipeline.graph.loops[0].carries[0].last};
  CHECK((runs(pipeline.graph, start) == Names{"decode"}));
  start.values = {pipeline.graph.nodes[0].outputs.at("condition")};
  CHECK((runs(pipeline.graph, start) == Names{"noise", "denoise.unet", "denoise.step", "decode"}));
}

TEST_CASE("an interrupted loop does not ask for the first values of its carries") {
  const fakes::Pipeline pipeline;
  const Loop& loop = pipeline.graph.loops[0];
  StartingPoint start;
  start.loop = LoopId{0};
  start.values = {loop.carries[0].current, loop.carries[1].current,
                  pipeline.graph.nodes[0].outputs.at("condition"), std::get<ValueId>(loop.count)};
  CHECK((runs(pipeline.graph, start) == Names{"denoise.unet", "denoise.step", "decode"}));
}

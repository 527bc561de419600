#include "plan/timeline.h"

#include "check.h"

#include "fakes/fake_pipeline.h"

using namespace emulsion;

namespace {

// Positions: 0 encode, 1 noise, 2 unet, 3 step, 4 decode.
std::pair<std::size_t, std::size_t> lifetime(const Graph& graph, ValueId value) {
  const Lifetime lifetime = make_timeline(graph).lifetimes[index(value)];
  return {lifetime.first, lifetime.last};
}

using Span = std::pair<std::size_t, std::size_t>;

}  // namespace

TEST_CASE("an outer value that a loop reads lives until the loop ends") {
  const fakes::Pipeline pipeline;
  const GraphNode& encode = pipeline.graph.nodes[0];
  REQUIRE(encode.name == "encode");
  CHECK((lifetime(pipeline.graph, encode.outputs.at("condition")) == Span{0, 3}));
}

TEST_CASE("a carry takes its first value over, and its last one outlives the loop") {
  const fakes::Pipeline pipeline;
  const Carry& latent = pipeline.graph.loops[0].carries[0];
  REQUIRE(latent.name == "latent");
  CHECK((lifetime(pipeline.graph, std::get<ValueId>(*latent.from)) == Span{1, 1}));
  CHECK((lifetime(pipeline.graph, latent.current) == Span{2, 2}));
  CHECK((lifetime(pipeline.graph, latent.next) == Span{3, 3}));
  CHECK((lifetime(pipeline.graph, latent.last) == Span{4, 4}));
}

TEST_CASE("a loop's body takes one position a node") {
  const Timeline timeline = make_timeline(fakes::Pipeline().graph);
  CHECK(timeline.runs.size() == 5);
  CHECK(timeline.loops[0].first == 2);
  CHECK(timeline.loops[0].last == 3);
}

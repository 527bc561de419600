#include "graph/dot.h"

#include "check.h"

#include "runtime/graph/graph_faults.h"

using namespace emulsion;

TEST_CASE("a graph with a loop is drawn with a cluster and its carries") {
  const Graph graph = fakes::graph_of(R"({"emulsion": 1, "outputs": {"picture": "m.image"},
    "resources": {"sd": {"type": "checkpoint", "source": "tiny"}}, "nodes": {
      "s": {"type": "model_user", "use": {"config": "sd.scheduler", "unet": "sd.unet"}},
      "l": {"loop": {"count": 2, "carry": {"x": {"from": "s.latent", "next": "a.latent"}},
                     "nodes": {"a": {"type": "blur", "in": {"latent": "carry.x"}}}}},
      "m": {"type": "measure", "in": {"latent": "l.x", "scale": 2}}}})");
  CHECK(to_dot(graph) ==
        "digraph \"g\" {\n"
        "  rankdir=LR\n"
        "  node [shape=box]\n"
        "  \"s\" [label=\"s\\nmodel_user\\nsd.scheduler\\nsd.unet\"]\n"
        "  subgraph \"cluster_l\" {\n"
        "    label=\"loop l x 2\"; style=rounded\n"
        "    \"l.index\" [shape=ellipse, label=\"loop.index\"]\n"
        "    \"l.x\" [shape=ellipse, label=\"carry.x\"]\n"
        "    \"l.a\" [label=\"l.a\\nblur\"]\n"
        "  }\n"
        "  \"m\" [label=\"m\\nmeasure\"]\n"
        "  \"output picture\" [shape=plaintext, label=\"picture\"]\n"
        "  \"m\" -> \"output picture\"\n"
        "  \"l.x\" -> \"l.a\" [label=\"latent\"]\n"
        "  \"l.x\" -> \"m\" [label=\"latent\"]\n"
        "  \"s\" -> \"l.x\" [label=\"from\"]\n"
        "  \"l.a\" -> \"l.x\" [label=\"next\", style=dashed, constraint=false]\n"
        "}\n");
}

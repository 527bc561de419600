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

TEST_CASE("models that are made from others are drawn with what they are made from") {
  const Graph graph = fakes::graph_of(R"({"emulsion": 1, "outputs": {}, "resources": {
      "sd": {"type": "checkpoint", "source": "tiny"}, "c": {"type": "checkpoint", "source": "b"},
      "mix": {"type": "merge", "a": "sd", "b": "c", "ratio": 0.25},
      "styled": {"type": "lora", "base": "mix", "source": "a\"b, d:0.5", "strength": 2}},
      "nodes": {"s": {"type": "model_user", "use": {"config": "sd.x", "unet": "styled.unet"}}}})");
  CHECK(to_dot(graph) ==
        "digraph \"g\" {\n"
        "  rankdir=LR\n"
        "  node [shape=box]\n"
        "  \"s\" [label=\"s\\nmodel_user\\nsd.x\\nstyled.unet\"]\n"
        "  \"resource mix\" [shape=cylinder, label=\"mix\\nmerge, ratio 0.25\"]\n"
        "  \"resource sd\" [shape=cylinder, label=\"sd\\ntiny\"]\n"
        "  \"resource sd\" -> \"resource mix\" [label=\"a\"]\n"
        "  \"resource c\" [shape=cylinder, label=\"c\\nb\"]\n"
        "  \"resource c\" -> \"resource mix\" [label=\"b\"]\n"
        "  \"resource styled\" [shape=cylinder, label=\"styled\\nlora\\na\\\"b x 2\\nd x 1\"]\n"
        "  \"resource mix\" -> \"resource styled\" [label=\"base\"]\n"
        "}\n");
}

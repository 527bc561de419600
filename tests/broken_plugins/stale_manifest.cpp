// Built twice; the manifest of the build before lies beside the library, see CMakeLists.txt.
#include "emulsion/plugin.h"

namespace {

using namespace emulsion;

void describe(std::vector<NodeDescriptor>& nodes) {
  nodes.push_back({.id = "stale_node",
                   .summary = "Has another default than its manifest says.",
                   .params = {{"steps", std::int64_t{BROKEN_STEPS}, "How many."}},
                   .create = [](const Params&) { return std::unique_ptr<Node>(); }});
}

}  // namespace

EMULSION_PLUGIN(describe)

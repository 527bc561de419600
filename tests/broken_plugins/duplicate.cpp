// Plug-ins whose node is somebody else's, or comes twice; see CMakeLists.txt.
#include "emulsion/plugin.h"

namespace {

void describe(std::vector<emulsion::NodeDescriptor>& nodes) {
  for (int i = 0; i < BROKEN_TIMES; ++i)
    nodes.push_back(
        {.id = BROKEN_ID, .summary = "Is never made.", .create = [](const emulsion::Params&) {
           return std::unique_ptr<emulsion::Node>();
         }});
}

}  // namespace

EMULSION_PLUGIN(describe)

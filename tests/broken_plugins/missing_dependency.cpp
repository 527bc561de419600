#include "emulsion/plugin.h"
#include "emulsion/str.h"

extern "C" int broken_plugins_needed();

namespace {

void describe(std::vector<emulsion::NodeDescriptor>& nodes) {
  nodes.push_back({.id = "missing_dependency",
                   .summary = emulsion::str("Needs ", broken_plugins_needed(), ".")});
}

}  // namespace

EMULSION_PLUGIN(describe)

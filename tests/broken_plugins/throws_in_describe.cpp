#include <stdexcept>

#include "emulsion/plugin.h"

namespace {

void describe(std::vector<emulsion::NodeDescriptor>&) {
  throw std::runtime_error("no table found");
}

}  // namespace

EMULSION_PLUGIN(describe)

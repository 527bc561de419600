#pragma once

#include <functional>
#include <map>
#include <string>

#include "emulsion/descriptor.h"

namespace emulsion {

// The node types that a graph may use, by id, in the order of their ids.  The descriptors outlive
// it.
using NodeCatalog = std::map<std::string, const NodeDescriptor*, std::less<>>;

}  // namespace emulsion

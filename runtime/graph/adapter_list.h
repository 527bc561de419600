#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace emulsion {

// The files of "a.safetensors, b.safetensors:0.6": apart by commas or line ends, each with a
// strength of its own behind a colon where one is given, times `strength`.  What is blank is
// passed over.  [any thread]
std::vector<AdapterRef> adapters_in(std::string_view list, double strength);

}  // namespace emulsion

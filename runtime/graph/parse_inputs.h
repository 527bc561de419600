#pragma once

#include <vector>

#include "graph/inputs.h"
#include "graph/json_reader.h"

namespace emulsion {

// Reads the document's "inputs".
std::vector<GraphInput> parse_inputs(const Json& inputs, Faults& faults);

}  // namespace emulsion

#pragma once

#include <string>
#include <vector>

#include "graph/graph_spec.h"
#include "graph/json_reader.h"

namespace emulsion {

std::vector<ResourceSpec> parse_resources(const Json& resources, Faults& faults);

// A parameter's value or one of a resource: a literal, or "$input"; "$$" writes a literal "$".
Term setting_in(const Json& json, const std::string& path, Faults& faults);

}  // namespace emulsion

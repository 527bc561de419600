#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace emulsion {

// A config as Python's json writes it: what JSON does not know (Infinity, NaN) is null.  Discarded
// where it is no JSON.  [any thread]
nlohmann::json parse_config(std::string text);

}  // namespace emulsion

#pragma once

#include <string>

#include "emulsion/export.h"

namespace emulsion {

// JSON as Python writes it, with null for -Infinity, Infinity and NaN, which JSON does not know.
// Strings stay as they are.  [any thread]
EMULSION_API std::string without_infinities(std::string text);

}  // namespace emulsion

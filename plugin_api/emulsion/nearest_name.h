#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "emulsion/export.h"

namespace emulsion {

// What a name that is not there may have been meant to be: the closest one with at most a third of
// its letters wrong (one in short names), else the only one that begins alike, or empty.
// [any thread]
EMULSION_API std::string nearest_name(const std::vector<std::string>& candidates,
                                      std::string_view name);

}  // namespace emulsion

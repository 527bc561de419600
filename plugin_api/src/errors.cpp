#include "emulsion/errors.h"

namespace emulsion {

// Out of line: one vtable and one type_info for all libraries.
Error::~Error() = default;
GraphError::~GraphError() = default;
PluginError::~PluginError() = default;
WeightError::~WeightError() = default;
PlanError::~PlanError() = default;
RunError::~RunError() = default;
OutOfMemory::~OutOfMemory() = default;
Cancelled::~Cancelled() = default;

}  // namespace emulsion

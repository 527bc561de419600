#pragma once

#include "weights/checkpoint.h"

namespace emulsion {

// Fills in parts, unneeded and unknown from the file's names.
void find_parts(Checkpoint& checkpoint);

}  // namespace emulsion

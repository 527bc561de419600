#pragma once

#include "weights/checkpoint.h"

namespace emulsion {

// Fills in parts, unneeded and unknown from the header's names.
void find_parts(const CheckpointHeader& header, Checkpoint& checkpoint);

}  // namespace emulsion

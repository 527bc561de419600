#pragma once

#include <c10/core/ScalarType.h>

#include "emulsion/weights.h"

namespace emulsion {

// The type that a component's weights have, and its nodes compute in, in a run of type `dtype`.
// Where diffusers' config says "force_upcast" the numbers overflow float16: bfloat16, which takes
// no more memory, stands in for it.  [any thread]
c10::ScalarType weight_dtype(const Component& component, c10::ScalarType dtype);

}  // namespace emulsion

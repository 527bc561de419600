#pragma once

#include <string>

#include "emulsion/work.h"
#include "weights/open_component.h"
#include "weights/weight_source.h"

// Tensors that a component has otherwise than its files.
namespace emulsion {

// [any thread]
bool is_changed(const OpenComponent& component, const std::string& name);

// The tensor after all changes, in float32 and in host memory that is in charge of this thread's
// meter.  Throws WeightError, OutOfMemory.  [any thread]
at::Tensor changed_tensor(const OpenComponent& component, const std::string& name, Pace pace);

// What that allocates at most, with the result, and computes.  [any thread]
struct HostCost {
  Bytes peak = 0;
  Work work = {};
};
HostCost change_cost(const OpenComponent& component, const std::string& name);

}  // namespace emulsion

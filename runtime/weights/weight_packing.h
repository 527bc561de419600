#pragma once

#include <string>

#include "emulsion/packing.h"
#include "weights/changed_tensor.h"
#include "weights/open_component.h"

// Which weights are packed (emulsion/packing.h) in memory.
namespace emulsion {

// How a tensor is had by whoever can work with it packed: as the file has it, or as the component
// asks.  One of a packed file that is changed on the way is packed anew, as Int8.  [any thread]
Packing packing_of(const OpenComponent& component, const std::string& name,
                   const StoredTensor& stored);

// True where these bytes are not those of the file, but are to be made of its numbers.
// [any thread]
bool is_packed_anew(Packing packing, const StoredTensor& stored);

// The component with those tensors of its files that `packed` names as the bytes that they are.
// [any thread]
OpenComponent with_bytes(const OpenComponent& component, const WeightNames& packed);

// What packing one tensor takes of the host, a few rows at a time.  [any thread]
HostCost pack_cost(const TensorSpec& spec);

}  // namespace emulsion

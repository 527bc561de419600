#pragma once

#include <optional>
#include <set>
#include <string>

#include "weights/open_component.h"

// Changes of low rank that run beside the weights instead of being applied to them: a component of
// their own, small, that can be loaded and dropped while the weights stay.
namespace emulsion {

struct DividedComponent {
  OpenComponent weights;   // with the changes that must be applied to them
  OpenComponent branches;  // of the others
};

// Takes those changes of the component out that can run beside the weights named in `branched`.
// Nothing where there are none.  [any thread]
std::optional<DividedComponent> divided(const OpenComponent& component,
                                        const std::set<std::string, std::less<>>& branched);

// Names and specs of a component of branches, in the dtype of the run, without data.
WeightSet branch_headers(const OpenComponent& branches, c10::ScalarType dtype);

// `weights` with what runs beside them.  `loaded` is what `branches` was loaded as, or its header.
// [any thread]
std::shared_ptr<const WeightSet> with_branches(const WeightSet& weights, const WeightSet& loaded,
                                               const OpenComponent& branches);

}  // namespace emulsion

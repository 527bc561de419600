#pragma once

#include <memory>
#include <string>
#include <vector>

#include "emulsion/value.h"
#include "weights/weight_store.h"

namespace emulsion {

enum class Stay { Lasting, Passing };       // Passing: leaves soon, and its mapped pages with it
enum class Pace { AllThreads, OneThread };  // OneThread: beside a run, which needs the others

// Where tensors come from, on their way to one place.  [any thread]
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // The tensors by name, all of which are there.  On an accelerator the copies may still be under
  // way in the queue that is this thread's.  Throws WeightError, OutOfMemory.
  virtual Bundle read(const std::vector<std::string>& names, Stay stay, Pace pace) const = 0;
};

// The same, and OutOfMemory says that it was `what` that did not fit.
Bundle read_or_explain(const WeightSource& source, const std::string& what,
                       const std::vector<std::string>& names, Stay stay, Pace pace);

std::unique_ptr<const WeightSource> files_source(OpenComponent component, const WeightPlace& place,
                                                 c10::ScalarType dtype);
// The same with the component's changes.
std::unique_ptr<const WeightSource> changed_source(OpenComponent component,
                                                   const WeightPlace& place, c10::ScalarType dtype);
// The same, of which those in `packed` come packed where packing_of() says so: as bytes.
std::unique_ptr<const WeightSource> packed_source(const OpenComponent& component,
                                                  const WeightNames& packed,
                                                  const WeightPlace& place, c10::ScalarType dtype);
// Of a component of branches.
std::unique_ptr<const WeightSource> branch_source(const OpenComponent& component,
                                                  const WeightPlace& place, c10::ScalarType dtype);
std::unique_ptr<const WeightSource> set_source(std::shared_ptr<const WeightSet> set,
                                               const WeightPlace& place);

}  // namespace emulsion

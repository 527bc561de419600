#include "weights/weight_source.h"

#include <c10/util/Exception.h>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {

Bundle read_or_explain(const WeightSource& source, const std::string& what,
                       const std::vector<std::string>& names, Stay stay, Pace pace) {
  try {
    return source.read(names, stay, pace);
  } catch (const c10::OutOfMemoryError& fault) {
    throw OutOfMemory(str(what, ": do not fit: ", fault.what_without_backtrace()));
  } catch (const OutOfMemory& fault) {
    throw OutOfMemory(str(what, ": do not fit: ", fault.what()));
  }
}

}  // namespace emulsion

#pragma once

#include "exec/request_setup.h"

namespace emulsion {

// Decides, for each component whose weights adapters change, whether these changes are applied to
// the weights while they are read, or run beside them as branches: whichever the plan says is
// faster among those that fit.  What runs beside a component becomes a component of its own in the
// setup's graph, "sd.unet.lora".  With `keeps_weights`, for a session that stays, branches come
// first wherever they fit, since another strength then leaves the weights where they are.  Weights
// with a change of another form than low rank are changed in any case.
void choose_adapter_forms(RequestSetup& setup, bool keeps_weights);

}  // namespace emulsion

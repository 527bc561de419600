#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

#include "weights/weight_source.h"

namespace emulsion {

// Writes elements from `start` on into flat host memory of the result's dtype, as many as it has.
using FillElements = std::function<void(std::int64_t start, const at::Tensor& into)>;

// A new tensor at a place, filled piece by piece; in an accelerator's memory by way of pinned host
// memory of kStagingBytes.  The place's meter is in charge of this thread.
at::Tensor filled_tensor(const TensorSpec& spec, c10::Device device, Pace pace,
                         const FillElements& fill);

}  // namespace emulsion

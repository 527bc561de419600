#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "weights/weight_source.h"

namespace emulsion {

// A new tensor and where its elements come from.
struct WeightCopy {
  at::Tensor result;
  // Writes elements from `start` on into flat host memory of the result's dtype, as many as it has.
  std::function<void(std::int64_t start, const at::Tensor& into)> fill;
};

// Memory of the account in charge of this thread, or of an accelerator.
at::Tensor new_tensor(const TensorSpec& spec, c10::Device device);

// Fills the results, piece by piece.  In an accelerator's memory they come by way of pinned host
// memory of kStagingBytes.
void fill_all(const std::vector<WeightCopy>& copies, Pace pace);

// Calls `work` for 0 to count - 1, in no order, on as many threads as the pace allows.
void for_each_part(std::int64_t count, Pace pace,
                   const std::function<void(std::int64_t part)>& work);

}  // namespace emulsion

#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "emulsion/value.h"
#include "weights/weight_forms.h"

namespace emulsion {

// What an adapter changes in one weight.  Its pieces have the file's dtype; where that and the
// place in the file allow it, they are views of the mapped file.  Immutable.  [any thread]
class WeightChange {
 public:
  // A change that can be run beside the base: y += strength * scale * up(down(x)).  Of a linear
  // down is [r, in] and up [out, r]; of a convolution [r, in, k, k], with the base's stride and
  // padding, and [out, r, 1, 1].
  struct Branch {
    at::Tensor down, up;
    double scale = 1;  // alpha / rank
  };

  explicit WeightChange(WeightForm form) : form_(std::move(form)) {}
  // DoRA (Liu et al. 2024, equation 5): the changed weight is brought to these norms, [out, 1, ...]
  // of its rows or [1, in, 1, ...] of its columns.
  WeightChange(WeightForm form, at::Tensor norms)
      : form_(std::move(form)), norms_(std::move(norms)) {}

  // The weight after the change.  `base` is float32 and on any device, and is not written; the
  // result is float32, on its device and of its shape.  Strength 0 gives the base; with norms it
  // goes in a straight line from the base to the weight at strength 1.  Several changes of one
  // weight are applied one to the other's result.
  at::Tensor applied(const at::Tensor& base, double strength) const;
  // Nothing unless this is a plain LoRA: every other form depends on the base, or is no product of
  // two small weights.
  std::optional<Branch> branch() const;
  // The most that applied() allocates on the base's device at a time, its result included.
  Bytes workspace(const TensorSpec& base) const;

 private:
  WeightForm form_;
  at::Tensor norms_;  // undefined: as they come
};

}  // namespace emulsion

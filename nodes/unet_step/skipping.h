#pragma once

#include <vector>

#include "models/step_change.h"
#include "shortcuts.h"

// Steps that give the result of an earlier one again, because little of it would change (EasyCache,
// see models/step_change.h): what they carry.  [run thread]
namespace emulsion::skipping {

// For a schedule of `total` steps.
BundleSpec state_spec(const TensorSpec& latent, c10::ScalarType dtype, std::int64_t total);

// What the last evaluated step found: its sample and what came of it, the rate of change, infinite
// where it is not known yet, and which of the loop's steps were skipped.
class State {
 public:
  explicit State(const Bundle& bundle) : bundle_(bundle) {}

  const at::Tensor& denoised() const { return bundle_.at("denoised"); }
  // True where less than `threshold` of the result is expected to change.  Waits for the device.
  bool holds(const at::Tensor& sample, double threshold) const;

  // After the step `index` has been skipped, or evaluated.  `steady`: the step before was of the
  // same kind, so that the two tell a rate.
  Bundle skipped(std::int64_t index) const;
  Bundle evaluated(const models::Evaluated& now, bool steady) const;

 private:
  const Bundle& bundle_;
};

// After the first step.
Bundle first_state(const models::Evaluated& now, std::int64_t total);

std::vector<bool> skipped_steps(const Bundle& state);

}  // namespace emulsion::skipping

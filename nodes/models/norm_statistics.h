#pragma once

#include <cstddef>
#include <vector>

#include "models/layers.h"

namespace emulsion::models {

// Means and variances of a model's group norms, in the order in which it comes to them.  The first
// pass takes them from its input, further ones apply them to theirs: so the parts of a picture are
// treated alike, whatever is in each.  One sample at a time.  [one thread at a time]
class NormStatistics {
 public:
  // Before each pass of the model.
  void begin_pass();
  // x [1, C, H, W] -> the same shape
  at::Tensor normalised(const GroupNorm& norm, const at::Tensor& x);

 private:
  struct Moments {
    at::Tensor mean, variance;  // [C] float32
  };

  at::Tensor taken_from(const GroupNorm& norm, const at::Tensor& x);

  std::vector<Moments> moments_;
  std::size_t next_ = 0;
  bool is_complete_ = false;
};

}  // namespace emulsion::models

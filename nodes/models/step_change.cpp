#include "models/step_change.h"

#include "models/ops.h"

namespace emulsion::models {
namespace {

constexpr double kTiny = 1e-12;  // below what any sample changes by

// [B, C, h, w] -> [B]
at::Tensor magnitude(const at::Tensor& x) { return x.abs().mean({1, 2, 3}, false, at::kFloat); }

}  // namespace

at::Tensor change_rate(const Evaluated& before, const Evaluated& now) {
  return magnitude(now.result.sub(before.result))
      .div_(magnitude(now.sample.sub(before.sample)).clamp_min_(kTiny));
}

at::Tensor expected_change(const Evaluated& last, const at::Tensor& rate,
                           const at::Tensor& sample) {
  const at::Tensor change = magnitude(sample.sub(last.sample)).mul_(rate);
  return change.div_(magnitude(last.result).clamp_min_(kTiny)).max();
}

}  // namespace emulsion::models

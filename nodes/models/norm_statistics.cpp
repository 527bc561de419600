#include "models/norm_statistics.h"

#include <ATen/ops/batch_norm.h>
#include <ATen/ops/native_group_norm.h>

#include "models/ops.h"

namespace emulsion::models {

void NormStatistics::begin_pass() {
  is_complete_ = !moments_.empty();
  next_ = 0;
}

at::Tensor NormStatistics::normalised(const GroupNorm& norm, const at::Tensor& x) {
  if (!is_complete_) return taken_from(norm, x);
  const Moments& moments = moments_.at(next_++);
  return at::batch_norm(x, norm.weight.to(at::kFloat), norm.bias.to(at::kFloat), moments.mean,
                        moments.variance, false, 0, norm.config.eps, false);
}

at::Tensor NormStatistics::taken_from(const GroupNorm& norm, const at::Tensor& x) {
  const std::int64_t C = x.size(1), groups = norm.config.groups;
  // Scale and shift in float32, so that the statistics come in float32, too.
  const auto [y, mean, rstd] = at::native_group_norm(
      x.contiguous(x.suggest_memory_format()), norm.weight.to(at::kFloat), norm.bias.to(at::kFloat),
      1, C, x.size(2) * x.size(3), groups, norm.config.eps);
  const auto by_channel = [&](const at::Tensor& by_group) {  // [1, groups] -> [C]
    return by_group.view({groups, 1}).expand({groups, C / groups}).flatten();
  };
  moments_.push_back({by_channel(mean), by_channel(rstd.pow(-2).sub_(norm.config.eps))});
  return y;
}

}  // namespace emulsion::models

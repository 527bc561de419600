#include "models/low_rank.h"

#include <ATen/ops/addmm.h>

#include "models/ops.h"

namespace emulsion::models {
namespace {

// rows [n, r] times up [out, r] -> onto y [n, out], in one product and one rounding where LibTorch
// has a kernel for that.
void add_product_(at::Tensor y, const at::Tensor& rows, const at::Tensor& up, double scale) {
  if (kernels::widens(y))
    y.add_(linear(rows, up, at::Tensor()), scale);
  else
    y.addmm_(rows, up.t(), /*beta=*/1, scale);
}

}  // namespace

std::vector<LowRank> linear_branches(const WeightView& w) {
  std::vector<LowRank> layers;
  for (const Branch& branch : w.branches("weight")) {
    const at::Tensor &down = branch.down.data, &up = branch.up.data;
    if (!down.defined()) continue;  // a forecast
    // Files hold 1x1 convolutions for linear layers, too.
    layers.push_back({down.flatten(1), up.flatten(1), branch.scale});
  }
  return layers;
}

std::vector<LowRank> conv_branches(const WeightView& w) {
  std::vector<LowRank> layers;
  for (const Branch& branch : w.branches("weight"))
    if (branch.down.data.defined())
      layers.push_back({branch.down.data, branch.up.data, branch.scale});
  return layers;
}

void add_linear_branch_(at::Tensor& y, const at::Tensor& x, const LowRank& branch) {
  const at::Tensor low = linear(x, branch.down, at::Tensor());  // [..., r]
  add_product_(y.view({-1, y.size(-1)}), low.view({-1, low.size(-1)}), branch.up, branch.scale);
}

void add_conv_branch_(at::Tensor& y, const at::Tensor& x, const LowRank& branch,
                      const ConvShape& shape) {
  const std::int64_t rank = branch.down.size(0);
  const ConvShape down{shape.in, rank, shape.kernel, shape.stride, shape.padding};
  const at::Tensor low = conv2d(x, branch.down, at::Tensor(), down);  // [B, r, H', W']
  if (!y.is_contiguous(at::MemoryFormat::ChannelsLast)) {
    const ConvShape up{rank, shape.out, 1, 1, 0};
    y.add_(conv2d(low, branch.up, at::Tensor(), up), branch.scale);
    return;
  }
  // Of a map with channels last, pixels are rows.
  add_product_(y.permute({0, 2, 3, 1}).view({-1, shape.out}),
               low.permute({0, 2, 3, 1}).reshape({-1, rank}), branch.up.flatten(1), branch.scale);
}

}  // namespace emulsion::models

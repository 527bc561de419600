#include "models/unfolded_conv.h"

#include <ATen/record_function.h>

#include "models/layers.h"
#include "models/ops.h"

namespace emulsion::models {
namespace {

constexpr std::int64_t kFiltersPerPixel = 8;  // with fewer, the copies of windows cost more

}  // namespace

bool UnfoldedShape::pays() const { return kFiltersPerPixel * pixels <= out; }

std::int64_t UnfoldedShape::scratch() const {
  // The map turned around, and with its border, which is at most nine times as large; the windows.
  return in * pixels * (1 + 9 + 9);
}

at::Tensor unfolded_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  RECORD_FUNCTION("unfolded_conv2d", std::vector<c10::IValue>({x, weight, bias}));
  const std::int64_t B = x.size(0), C = x.size(1), H = x.size(2), W = x.size(3);
  const at::Tensor windows = at::pad(x.contiguous(), {1, 1, 1, 1}).unfold(2, 3, 1).unfold(3, 3, 1);
  const at::Tensor rows = windows.permute({0, 2, 3, 1, 4, 5}).contiguous().view({B * H * W, C * 9});
  const at::Tensor y = linear(rows, weight.view({weight.size(0), C * 9}), bias);
  return y.view({B, H, W, weight.size(0)}).permute({0, 3, 1, 2});
}

}  // namespace emulsion::models

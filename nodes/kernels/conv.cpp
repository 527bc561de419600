#include "kernels/conv.h"

#include "kernels/linear.h"
#include "kernels/panel_conv.h"
#include "kernels/panel_product.h"
#include "kernels/tensor_ops.h"
#include "kernels/winograd.h"

namespace emulsion::kernels {
namespace {

bool goes_by_tiles(const at::Tensor& x, const at::Tensor& bias, const ConvShape& shape) {
  const bool keeps_size = shape.kernel == 3 && shape.stride == 1 && shape.padding == 1;
  const WinogradShape tiled{shape.in, shape.out, winograd_tiles(x.size(0), x.size(2), x.size(3))};
  return keeps_size && bias.defined() && winograd_holds(x.scalar_type()) && tiled.pays();
}

// A deep level's weights are larger than its maps.  With channels last, LibTorch would bring the
// weights to that order on each call; to turn the small maps around costs less.
bool turns_around(const at::Tensor& x, const at::Tensor& weight) {
  return x.is_cpu() && weight.numel() > x.numel();
}

}  // namespace

at::Tensor conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  const ConvShape& shape) {
  if (x.is_cpu() && goes_by_tiles(x, bias, shape))
    return winograd_conv2d(in_map_layout(x), weight.contiguous(), bias);
  if (x.is_cpu() && panels_hold(x.scalar_type()) && shape.in >= kFewestPanelChannels)
    return panel_conv2d(in_map_layout(x), weight.contiguous(), bias, shape);
  if (widens(x))
    return conv2d(widened(x), widened(weight), widened(bias), shape).to(x.scalar_type());
  if (!turns_around(x, weight)) return at::conv2d(x, weight, bias, shape.stride, shape.padding);
  return in_map_layout(at::conv2d(x.contiguous(), weight, bias, shape.stride, shape.padding));
}

at::Tensor in_map_layout(const at::Tensor& x) {
  return x.contiguous(x.is_cpu() ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous);
}

}  // namespace emulsion::kernels

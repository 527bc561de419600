#include "kernels/conv.h"

#include "kernels/amx_conv.h"
#include "kernels/amx_product.h"
#include "kernels/linear.h"
#include "kernels/panel_conv.h"
#include "kernels/panel_product.h"
#include "kernels/tensor_ops.h"
#include "kernels/winograd.h"

namespace emulsion::kernels {
namespace {

bool keeps_size(const ConvShape& shape) {
  return shape.kernel == 3 && shape.stride == 1 && shape.padding == 1;
}

bool goes_by_amx(const at::Tensor& x, const at::Tensor& bias, const ConvShape& shape) {
  const bool is_linear = shape.kernel == 1 && shape.stride == 1 && shape.padding == 0;
  return x.is_cpu() && (keeps_size(shape) || is_linear) && bias.defined() &&
         amx_takes(x.scalar_type(), x.numel() / shape.in, shape.in, shape.out);
}

at::Tensor conv_by_amx(const at::Tensor& map, const at::Tensor& weight, const at::Tensor& bias) {
  if (weight.size(2) == 3) return amx_conv2d(map, weight, bias);
  return amx_linear(map.permute({0, 2, 3, 1}), weight.view({weight.size(0), -1}), bias)
      .permute({0, 3, 1, 2});
}

bool goes_by_tiles(const at::Tensor& x, const at::Tensor& bias, const ConvShape& shape) {
  const WinogradShape tiled{shape.in, shape.out, winograd_tiles(x.size(0), x.size(2), x.size(3))};
  return keeps_size(shape) && bias.defined() && winograd_holds(x.scalar_type()) && tiled.pays();
}

// A deep level's weights are larger than its maps.  With channels last, LibTorch would bring the
// weights to that order on each call; to turn the small maps around costs less.
bool turns_around(const at::Tensor& x, const at::Tensor& weight) {
  return x.is_cpu() && weight.numel() > x.numel();
}

}  // namespace

at::Tensor conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  const ConvShape& shape) {
  if (goes_by_amx(x, bias, shape)) return conv_by_amx(in_map_layout(x), weight.contiguous(), bias);
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

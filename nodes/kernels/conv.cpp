#include "kernels/conv.h"

#include "kernels/amx_conv.h"
#include "kernels/amx_product.h"
#include "kernels/linear.h"
#include "kernels/panel_conv.h"
#include "kernels/panel_linear.h"
#include "kernels/tensor_ops.h"
#include "kernels/unpack.h"
#include "kernels/winograd.h"

namespace emulsion::kernels {
namespace {

bool keeps_size(const ConvShape& shape) {
  return shape.kernel == 3 && shape.stride == 1 && shape.padding == 1;
}

bool is_halving(const ConvShape& shape) {
  return shape.kernel == 3 && shape.stride == 2 && shape.padding == 1;
}

bool is_linear(const ConvShape& shape) {
  return shape.kernel == 1 && shape.stride == 1 && shape.padding == 0;
}

bool goes_by_amx(const at::Tensor& x, const ConvShape& shape, MapChange change) {
  const AmxMap map{x.size(0), x.size(2), x.size(3), shape.in, change};
  return x.is_cpu() && amx_takes(x.scalar_type(), map, shape.out);
}

at::Tensor pixels_of(const at::Tensor& map) { return map.permute({0, 2, 3, 1}); }
at::Tensor map_of(const at::Tensor& pixels) { return pixels.permute({0, 3, 1, 2}); }

at::Tensor linear_by_amx(const at::Tensor& map, const Weight& weight, const at::Tensor& bias) {
  return map_of(amx_linear(pixels_of(map), weight, bias));
}

at::Tensor conv_by_panels(const at::Tensor& map, const at::Tensor& weight, const at::Tensor& bias,
                          const ConvShape& shape) {
  if (!is_linear(shape)) return panel_conv2d(map, weight, bias, shape);
  return map_of(panel_linear(pixels_of(map), plain_weight(weight.flatten(1)), bias));
}

bool goes_by_tiles(const at::Tensor& x, const at::Tensor& bias, const ConvShape& shape,
                   bool is_doubled = false) {
  const WinogradShape tiled{
      shape.in, shape.out, winograd_tiles(x.size(0), x.size(2), x.size(3), is_doubled), is_doubled};
  return x.is_cpu() && keeps_size(shape) && bias.defined() && winograd_holds(x.scalar_type()) &&
         tiled.pays();
}

// A deep level's weights are larger than its maps.  With channels last, LibTorch would bring the
// weights to that order on each call; to turn the small maps around costs less.
bool turns_around(const at::Tensor& x, const at::Tensor& weight) {
  return x.is_cpu() && weight.numel() > x.numel();
}

at::Tensor conv_alone(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      const ConvShape& shape) {
  if (goes_by_tiles(x, bias, shape))
    return winograd_conv2d(in_map_layout(x), weight.contiguous(), bias);
  if (goes_by_panels(x) && shape.in >= kFewestPanelChannels)
    return conv_by_panels(in_map_layout(x), weight.contiguous(), bias, shape);
  if (widens(x))
    return conv_alone(widened(x), widened(weight), widened(bias), shape).to(x.scalar_type());
  if (!turns_around(x, weight)) return at::conv2d(x, weight, bias, shape.stride, shape.padding);
  return in_map_layout(at::conv2d(x.contiguous(), weight, bias, shape.stride, shape.padding));
}

at::Tensor all_unpacked(const Weight& weight, c10::ScalarType dtype) {
  if (weight.packing == Packing::None) return weight.data;
  return unpacked_rows(weight, 0, weight.spec.shape.front(), dtype);
}

// The same with a weight that is unpacked before, as a product that widens it needs it.
at::Tensor conv_unpacked(const at::Tensor& x, const Weight& weight, const at::Tensor& bias,
                         const ConvShape& shape) {
  if (weight.packing == Packing::None) return conv_alone(x, weight.data, bias, shape);
  const bool wide = widens_weights(x);
  const at::Tensor numbers = all_unpacked(weight, wide ? at::kFloat : x.scalar_type());
  if (!wide) return conv_alone(x, numbers, bias, shape);
  return conv_alone(widened(x), numbers, widened(bias), shape).to(x.scalar_type());
}

}  // namespace

bool takes_norm(const at::Tensor& x, const ConvShape& shape) {
  return keeps_size(shape) && goes_by_amx(x, shape, MapChange::None) &&
         x.is_contiguous(at::MemoryFormat::ChannelsLast);
}

at::Tensor conv2d(const at::Tensor& x, const Weight& weight, const at::Tensor& bias,
                  const ConvShape& shape, const ConvFusion& fusion) {
  const MapChange change = is_halving(shape) ? MapChange::Halved : MapChange::None;
  const bool by_amx = bias.defined() && goes_by_amx(x, shape, change);
  if (by_amx && (keeps_size(shape) || is_halving(shape)))
    return amx_conv2d(in_map_layout(x), weight, bias, change, fusion);
  at::Tensor y = by_amx && is_linear(shape) ? linear_by_amx(in_map_layout(x), weight, bias)
                                            : conv_unpacked(x, weight, bias, shape);
  if (fusion.shift.defined()) y.add_(fusion.shift.unsqueeze(-1).unsqueeze(-1));
  return fusion.added.defined() ? y.add_(fusion.added) : y;
}

at::Tensor conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  const ConvShape& shape, const ConvFusion& fusion) {
  return conv2d(x, plain_weight(weight), bias, shape, fusion);
}

at::Tensor doubled_conv2d(at::Tensor x, const Weight& weight, const at::Tensor& bias,
                          const ConvShape& shape) {
  if (goes_by_amx(x, shape, MapChange::Doubled))
    return amx_conv2d(in_map_layout(x), weight, bias, MapChange::Doubled);
  if (goes_by_tiles(x, bias, shape, true))
    return winograd_doubled_conv2d(in_map_layout(x),
                                   all_unpacked(weight, x.scalar_type()).contiguous(), bias);
  x = at::upsample_nearest2d(x, {2 * x.size(2), 2 * x.size(3)});
  return conv_unpacked(x, weight, bias, shape);
}

at::Tensor halved_conv2d(const at::Tensor& x, const Weight& weight, const at::Tensor& bias,
                         const ConvShape& shape) {
  if (goes_by_amx(x, shape, MapChange::HalvedAtEnd))
    return amx_conv2d(in_map_layout(x), weight, bias, MapChange::HalvedAtEnd);
  return conv_unpacked(at::pad(x, {0, 1, 0, 1}), weight, bias, shape);
}

at::Tensor in_map_layout(const at::Tensor& x) {
  return x.contiguous(x.is_cpu() ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous);
}

}  // namespace emulsion::kernels

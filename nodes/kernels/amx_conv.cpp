#include "kernels/amx_conv.h"

#include <ATen/Parallel.h>
#include <ATen/record_function.h>

#include "kernels/amx_product.h"
#include "kernels/tensor_ops.h"

namespace emulsion::kernels {
namespace {

constexpr std::int64_t kTaps = 9, kHalves = 16;  // of pack_halves_amx()

std::int64_t product_scratch(const AmxMap& map, const MapGrid& grid, std::int64_t out,
                             bool is_packed, std::int64_t threads) {
  return AmxShape{.count = grid.places(grid.rows_a_band()),
                  .depth = map.channels,
                  .taps = map.change == MapChange::Doubled ? kHalves : kTaps,
                  .out = out,
                  .is_packed = is_packed}
      .scratch(threads);
}

// [1 or B, out] in float32
at::Tensor bias_of(const at::Tensor& bias, const ConvFusion& fusion) {
  const at::Tensor wide = bias.to(at::kFloat).unsqueeze(0);
  return (fusion.shift.defined() ? wide.add(fusion.shift) : wide).contiguous();
}

at::Tensor result_of(const at::Tensor& x, const AmxMap& map, std::int64_t out) {
  return at::empty({map.batch, out, map.result_height(), map.result_width()}, x.options(),
                   at::MemoryFormat::ChannelsLast);
}

}  // namespace

at::Tensor amx_conv2d(const at::Tensor& x, const Weight& weight, const at::Tensor& bias,
                      MapChange change, const ConvFusion& fusion) {
  const bool is_doubled = change == MapChange::Doubled;
  const AmxMap shape{x.size(0), x.size(2), x.size(3), x.size(1), change};
  // With the stride, and zeros on each side, as those who follow operators expect them.
  const std::vector<std::int64_t> strides(2, shape.is_halved() ? 2 : 1), zeros(2, 1);
  RECORD_FUNCTION(is_doubled ? "amx_doubled_conv2d" : "amx_conv2d",
                  std::vector<c10::IValue>({x, in_its_shape(weight), bias, strides, zeros}));
  AmxWeight kernels(weight);
  kernels.kernel = is_doubled ? AmxKernel::Halves : AmxKernel::Whole;
  const std::int64_t out = kernels.out, pixels = shape.result_height() * shape.result_width();
  const MapGrid grid(shape);
  const at::Tensor wide_bias = bias_of(bias, fusion);
  at::Tensor y = result_of(x, shape, out);
  const at::Tensor map = at::empty({grid.copied(), shape.channels}, x.options());
  const at::Tensor scratch =
      at::empty({product_scratch(shape, grid, out, kernels.is_packed(), at::get_num_threads())},
                wide_bias.options());
  std::optional<ChannelAffine> affine;
  if (fusion.norm != nullptr) affine = affine_of(x, *fusion.norm);
  for (std::int64_t first = 0; first < grid.rows(); first += grid.rows_a_band()) {
    const std::int64_t count = std::min(grid.rows_a_band(), grid.rows() - first);
    grid.copy(static_cast<const Bfloat16Bits*>(x.const_data_ptr()), first, count,
              affine ? &*affine : nullptr, static_cast<Bfloat16Bits*>(map.mutable_data_ptr()));
    multiply_amx({.first = map.const_data_ptr(),
                  .count = grid.places(count),
                  .stride = grid.step() * shape.channels,
                  .depth = shape.channels,
                  .groups = grid.taps(first, count)},
                 kernels,
                 {.y = y.mutable_data_ptr(),
                  .bias = wide_bias.const_data_ptr<float>(),
                  .rows_a_bias = wide_bias.size(0) > 1 ? pixels : 0,
                  .added = fusion.added.defined() ? fusion.added.const_data_ptr() : nullptr},
                 scratch);
  }
  return y;
}

bool amx_takes(c10::ScalarType dtype, const AmxMap& map, std::int64_t out) {
  const std::int64_t rows = map.batch * map.result_height() * map.result_width();
  return amx_takes(dtype, rows, map.channels, out);
}

std::int64_t amx_conv_scratch(const AmxMap& map, std::int64_t out, bool is_packed,
                              std::int64_t threads) {
  const MapGrid grid(map);
  return product_scratch(map, grid, out, is_packed, threads) + grid.copied() * map.channels / 2 +
         map.batch * out;
}

}  // namespace emulsion::kernels

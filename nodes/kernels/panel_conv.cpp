#include "kernels/panel_conv.h"

#include <ATen/record_function.h>

#include "kernels/panel_product.h"
#include "kernels/rounding.h"
#include "kernels/tensor_ops.h"
#include "kernels/unpack.h"

namespace emulsion::kernels {
namespace {

// The pixels of a map [B, H, W, C] under the taps of a kernel, a row for each pixel of the result.
struct MapRows final : PanelRows {
  const float *map, *zeros;  // of words; zeros [C]: what lies outside
  ConvShape shape;
  std::int64_t H, W, rows, columns;  // of the map, of the result
  std::int64_t depth, parts;         // words of a pixel, and its parts, each of which is a segment

  MapRows(const at::Tensor& x, const at::Tensor& outside, const ConvShape& conv,
          const at::Tensor& y, Words kind)
      : map(static_cast<const float*>(x.const_data_ptr())),
        zeros(static_cast<const float*>(outside.const_data_ptr())),
        shape(conv),
        H(x.size(2)),
        W(x.size(3)),
        rows(y.size(2)),
        columns(y.size(3)),
        depth(in_words(kind, conv.in)),
        parts(quotient_up(depth, kPanelSegment)) {
    words = kind;
    count = y.size(0) * rows * columns;
    segments = conv.kernel * conv.kernel * parts;
  }

  Segment segment(std::int64_t index) const override {
    const std::int64_t begin = index % parts * kPanelSegment;
    return {index / parts * depth + begin, std::min(kPanelSegment, depth - begin)};
  }

  void fetch(std::int64_t index, std::int64_t first, std::int64_t rows_wanted,
             const void** places) const override {
    const std::int64_t tap = index / parts, begin = index % parts * kPanelSegment;
    const std::int64_t down = tap / shape.kernel - shape.padding,
                       right = tap % shape.kernel - shape.padding;
    std::int64_t column = first % columns, row = first / columns % rows,
                 sample = first / columns / rows;
    for (std::int64_t m = 0; m < rows_wanted; ++m) {
      const std::int64_t y = row * shape.stride + down, x = column * shape.stride + right;
      const bool inside = y >= 0 && y < H && x >= 0 && x < W;
      places[m] = inside ? map + ((sample * H + y) * W + x) * depth + begin : zeros;
      if (++column < columns) continue;
      column = 0;
      if (++row < rows) continue;
      row = 0;
      ++sample;
    }
  }
};

std::int64_t result_side(std::int64_t side, const ConvShape& shape) {
  return (side + 2 * shape.padding - shape.kernel) / shape.stride + 1;
}

}  // namespace

at::Tensor panel_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                        const ConvShape& shape) {
  const std::vector<std::int64_t> strides(2, shape.stride), paddings(2, shape.padding);
  RECORD_FUNCTION("panel_conv2d", std::vector<c10::IValue>({x, weight, bias, strides, paddings}));
  const Words words = words_of(x.scalar_type(), shape.in);
  const at::Tensor map = words == Words::Floats ? x.to(at::kFloat) : x;
  const at::Tensor zeros = at::zeros({shape.in}, map.options());
  at::Tensor y = at::empty(
      {x.size(0), shape.out, result_side(x.size(2), shape), result_side(x.size(3), shape)},
      x.options(), at::MemoryFormat::ChannelsLast);
  const MapRows rows(map, zeros, shape, y, words);
  const std::int64_t taps = shape.kernel * shape.kernel;
  const at::Tensor matrix = weight.view({shape.out, shape.in * taps});
  multiply_panels(rows, {plain_weight(matrix), bias, taps},
                  y.permute({0, 2, 3, 1}).view({rows.count, shape.out}));
  return y;
}

std::int64_t panel_conv_scratch(const ConvShape& shape, c10::ScalarType dtype, std::int64_t pixels,
                                std::int64_t threads) {
  const std::int64_t words = in_words(words_of(dtype, shape.in), shape.in);
  const std::int64_t depth = words * shape.kernel * shape.kernel;
  return (is_widened(dtype, shape.in) ? pixels * shape.in : 0) +
         panel_scratch(shape.out, depth, threads) + shape.in;
}

}  // namespace emulsion::kernels

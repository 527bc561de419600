#include "kernels/panel_linear.h"

#include <ATen/record_function.h>

#include "kernels/panel_product.h"
#include "kernels/panel_tile.h"
#include "kernels/panel_turned.h"
#include "kernels/rounding.h"
#include "kernels/tensor_ops.h"

namespace emulsion::kernels {
namespace {

// Words of x that all columns are multiplied with before the next ones, which the last cache is
// to hold.
constexpr std::int64_t kKept = 1280 * 1024;

std::int64_t kept_rows(std::int64_t depth) { return std::max<std::int64_t>(1, kKept / depth); }

// Rows of a matrix [rows, depth], float32 or pairs of bfloat16.
struct MatrixRows final : PanelRows {
  const float* first;
  std::int64_t depth, length;  // in words

  MatrixRows(const at::Tensor& x, Words kind)
      : first(static_cast<const float*>(x.const_data_ptr())),
        depth(in_words(kind, x.size(1))),
        length(std::min(depth, kPanelSegment)) {
    words = kind;
    count = x.size(0);
    segments = quotient_up(depth, length);
  }
  Segment segment(std::int64_t index) const override {
    return {index * length, std::min(length, depth - index * length)};
  }
  void fetch(std::int64_t index, std::int64_t row, std::int64_t rows,
             const void** places) const override {
    for (std::int64_t m = 0; m < rows; ++m) places[m] = first + (row + m) * depth + index * length;
  }
};

bool is_turned(c10::ScalarType dtype, const PanelLinearShape& shape) {
  return !shape.is_packed && panels_turn(dtype, shape.rows, shape.in);
}

// y [rows, columns]
void multiply(const at::Tensor& x, const PanelWeight& weight, const at::Tensor& y,
              bool adds = false) {
  const at::Tensor rows = x.reshape({-1, x.size(-1)}).contiguous();
  if (is_turned(x.scalar_type(), {rows.size(0), x.size(-1), weight.matrix.spec.shape[0],
                                  weight.matrix.packing != Packing::None}))
    return multiply_turned(rows, weight, y, adds);
  const Words words = words_of(x.scalar_type(), x.size(-1));
  const std::int64_t step = kept_rows(in_words(words, x.size(-1)));
  for (std::int64_t begin = 0; begin < rows.size(0); begin += step) {
    const std::int64_t count = std::min(step, rows.size(0) - begin);
    const at::Tensor part = rows.narrow(0, begin, count);
    const at::Tensor held = words == Words::Floats ? part.to(at::kFloat) : part;
    multiply_panels(MatrixRows(held, words), weight, y.narrow(0, begin, count), adds);
  }
}

Weight in_order(const Weight& weight) {
  return {weight.spec, weight.data.contiguous(), weight.packing};
}

at::Tensor product(const at::Tensor& x, const PanelWeight& weight, std::int64_t out) {
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = out;
  at::Tensor y = at::empty(shape, x.options().memory_format(std::nullopt));
  multiply(x, weight, y.view({-1, out}));
  return y;
}

}  // namespace

at::Tensor panel_linear(const at::Tensor& x, const Weight& weight, const at::Tensor& bias) {
  RECORD_FUNCTION("panel_linear", std::vector<c10::IValue>({x, weight.data}));
  return product(x, {in_order(weight), bias}, weight.spec.shape[0]);
}

void panel_add_linear_(at::Tensor& y, const at::Tensor& x, const Weight& weight,
                       const at::Tensor& bias) {
  RECORD_FUNCTION("panel_linear", std::vector<c10::IValue>({x, weight.data}));
  multiply(x, {in_order(weight), bias}, y.view({-1, weight.spec.shape[0]}), true);
}

at::Tensor panel_gated_linear(const at::Tensor& x, const Weight& weight, const at::Tensor& bias) {
  RECORD_FUNCTION("panel_gated_linear", std::vector<c10::IValue>({x, weight.data}));
  return product(x, {.matrix = in_order(weight), .bias = bias, .is_gated = true},
                 weight.spec.shape[0] / 2);
}

bool panels_gate(c10::ScalarType dtype, std::int64_t in, std::int64_t D) {
  return panels_hold(dtype) && D % kPanelColumns == 0 &&
         packed_panels(2 * D, in_words(words_of(dtype, in), in)) > 1;
}

std::int64_t panel_linear_scratch(c10::ScalarType dtype, const PanelLinearShape& shape,
                                  std::int64_t threads) {
  if (is_turned(dtype, shape)) return turned_scratch(dtype, shape.rows, shape.in, threads);
  const bool widens = is_widened(dtype, shape.in);
  return (widens ? std::min(shape.rows, kept_rows(shape.in)) * shape.in : 0) +
         (shape.is_packed ? threads * unpacking_scratch() : 0) +
         panel_scratch(shape.out, in_words(words_of(dtype, shape.in), shape.in), threads);
}

}  // namespace emulsion::kernels

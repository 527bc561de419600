#include "kernels/amx_product.h"

#include <ATen/record_function.h>

#include "kernels/amx_pack.h"
#include "kernels/panel_tile_amx.h"
#include "kernels/rounding.h"
#include "kernels/take_turns.h"
#include "kernels/tensor_ops.h"

namespace emulsion::kernels {
namespace {

constexpr std::int64_t kUnit = 32, kFewestRows = 16;
constexpr std::int64_t kPacked = 384 * 1024;  // elements of packed weights that a cache is to hold
constexpr std::int64_t kMostColumns = 512, kMostDepth = 1536, kMostSums = 256 * 1024;
constexpr std::int64_t kFewRows = 512 * 1024;  // elements that a cache holds beside weights
constexpr std::int64_t kRun = 1280;            // of the depth at a time
constexpr std::int64_t kPiecesPerThread = 4;

// How a product is cut: into blocks of columns, strips of rows and slices of the depth.  A piece of
// work is a strip's results in a block; its slices come one after the other.
struct Cut {
  std::int64_t columns, rows, depth;
  std::int64_t run;  // of the depth: rows of a run stay in the first cache for all columns

  Cut(const AmxShape& shape, std::int64_t threads) {
    const std::int64_t pieces = kPiecesPerThread * threads;
    run = shape.taps > 1 ? kRun / 4 : kRun;
    depth = shape.taps > 1
                ? shape.depth
                : rounded_up(quotient_up(shape.depth, quotient_up(shape.depth, kMostDepth)), kUnit);
    const std::int64_t parts = shape.is_gated ? 2 : 1;
    const std::int64_t fit = kPacked / (depth * shape.taps * parts) / kUnit * kUnit;
    const bool few = shape.count * shape.depth <= kFewRows;
    const std::int64_t fair = few ? quotient_up(shape.out, pieces) : shape.out;
    const std::int64_t most = std::clamp(std::min(fit, fair), kUnit, kMostColumns);
    columns = rounded_up(quotient_up(shape.out, quotient_up(shape.out, most)), kUnit);
    const std::int64_t strips = quotient_up(pieces, quotient_up(shape.out, columns));
    rows = rounded_up(quotient_up(shape.count, strips), kUnit);
    rows = std::max(rows, std::min<std::int64_t>(256, rounded_up(shape.count, kUnit)));
    if (depth < shape.depth) rows = std::min(rows, kMostSums / (columns * parts) / kUnit * kUnit);
  }

  // Elements of a piece's packed weights and sums.
  std::int64_t packed(const AmxShape& shape) const {
    return columns * depth * shape.taps / (shape.is_gated ? 1 : 2);
  }
  std::int64_t sums(const AmxShape& shape) const {
    return columns * (depth < shape.depth ? rows : kUnit) * (shape.is_gated ? 2 : 1);
  }
};

// One product, as its threads share it.
class Product {
 public:
  Product(const AmxRows& rows, const AmxWeight& weight, const AmxShape& shape, void* y)
      : rows_(rows),
        weight_(weight),
        cut_(shape, at::get_num_threads()),
        y_(static_cast<Bfloat16Bits*>(y)),
        taps_(shape.taps),
        sums_at_(cut_.packed(shape)),
        parts_(shape.is_gated ? 2 : 1) {
    for (const std::int64_t tap : rows.taps) segments_.push_back(tap * 2);
  }

  std::int64_t strips() const { return quotient_up(rows_.count, cut_.rows); }
  std::int64_t pieces() const { return strips() * quotient_up(weight_.out, cut_.columns); }

  // `held`: which weights the thread's buffer has already, -1 for none.
  void run(std::int64_t piece, float* packed, std::int64_t& held) const {
    const std::int64_t column = piece / strips() * cut_.columns,
                       first = piece % strips() * cut_.rows;
    const std::int64_t columns = std::min(cut_.columns, weight_.out - column);
    const std::int64_t end = std::min(first + cut_.rows, rows_.count);
    float* const sums = packed + sums_at_;
    for (std::int64_t k = 0; k < rows_.depth; k += cut_.depth) {
      const std::int64_t depth = std::min(cut_.depth, rows_.depth - k);
      if (held != column * rows_.depth + k) pack(column, columns, k, depth, packed);
      held = column * rows_.depth + k;
      const bool is_last = k + depth == rows_.depth, is_whole = depth == rows_.depth;
      for (std::int64_t m = first; m < end; m += kUnit) {
        float* const to = sums + (is_whole ? 0 : (m - first) * columns * parts_);
        const std::int64_t count = std::min(kUnit, end - m);
        for (std::int64_t i = 0; i < depth; i += cut_.run)
          multiply(m, count, columns, {k, depth, i}, packed, to);
        if (is_last) write(m, count, column, columns, to);
      }
    }
  }

 private:
  struct Slice {
    std::int64_t first, depth, run;  // of the depth, and where in it a run begins
  };

  // Of gated columns the values, and the gates behind them.
  void pack(std::int64_t column, std::int64_t columns, std::int64_t k, std::int64_t depth,
            float* packed) const {
    const auto* const weights = static_cast<const Bfloat16Bits*>(weight_.first);
    for (std::int64_t n = 0; n < columns * parts_; n += kPanelColumns) {
      const std::int64_t row = column + (n < columns ? n : n - columns + weight_.out);
      const Bfloat16Bits* const from = weights + row * rows_.depth * taps_;
      float* const panel = packed + n * depth * taps_ / 2;
      if (taps_ == 1) pack_rows_amx(from + k, rows_.depth, depth, panel);
      for (std::int64_t i = 0; taps_ > 1 && i < depth; i += cut_.run)
        pack_kernels_amx(from + i * taps_, rows_.depth, std::min(cut_.run, depth - i),
                         panel + i * taps_ / 2 * kPanelColumns);
    }
  }

  void multiply(std::int64_t m, std::int64_t count, std::int64_t columns, const Slice& slice,
                const float* packed, float* sums) const {
    const std::int64_t at = slice.first + slice.run;
    multiply_amx(
        TileProduct{.rows = static_cast<const char*>(rows_.first) + (m * rows_.stride + at) * 2,
                    .stride = rows_.stride * 2,
                    .segments = segments_,
                    .depth = std::min(cut_.run, slice.depth - slice.run) / 2,
                    .count = count,
                    .panel = packed + slice.run * taps_ / 2 * kPanelColumns,
                    .panels = columns * parts_ / kPanelColumns,
                    .distance = slice.depth * taps_ / 2 * kPanelColumns,
                    .y = sums,
                    .y_stride = columns * parts_,
                    .adds = at > 0});
  }

  void write(std::int64_t m, std::int64_t count, std::int64_t column, std::int64_t columns,
             const float* sums) const {
    const float *const bias = weight_.bias + column, *const gate_bias = bias + weight_.out;
    for (std::int64_t i = 0; i < count; ++i, sums += columns * parts_) {
      const std::int64_t row =
          rows_.places.empty() ? m + i : rows_.places[static_cast<std::size_t>(m + i)];
      if (row < 0) continue;
      Bfloat16Bits* const to = y_ + row * weight_.out + column;
      if (parts_ == 1)
        add_bias_amx(sums, bias, columns, to);
      else
        gate_amx(sums, bias, sums + columns, gate_bias, columns, to);
    }
  }

  const AmxRows& rows_;
  const AmxWeight& weight_;
  Cut cut_;
  Bfloat16Bits* y_;
  std::int64_t taps_, sums_at_, parts_;
  std::vector<std::int64_t> segments_;  // where taps begin, in bytes
};

std::int64_t thread_scratch(const AmxShape& shape, std::int64_t threads) {
  const Cut cut(shape, threads);
  return rounded_up(cut.packed(shape) + cut.sums(shape), kPanelColumns);
}

}  // namespace

bool amx_takes(c10::ScalarType dtype, std::int64_t rows, std::int64_t in, std::int64_t out) {
  return dtype == at::kBFloat16 && rows >= kFewestRows && in % kUnit == 0 && out % kUnit == 0 &&
         has_amx();
}

std::int64_t AmxShape::scratch(std::int64_t threads) const {
  return threads * thread_scratch(*this, threads);
}

void multiply_amx(const AmxRows& rows, const AmxWeight& weight, void* y,
                  const at::Tensor& scratch) {
  const std::int64_t threads = at::get_num_threads();
  const AmxShape shape{rows.count, rows.depth, static_cast<std::int64_t>(rows.taps.size()),
                       weight.out, weight.is_gated};
  const Product product(rows, weight, shape, y);
  const std::int64_t apart = thread_scratch(shape, threads);
  std::vector<std::int64_t> held(static_cast<std::size_t>(threads), -1);
  take_turns(product.pieces(), [&](std::int64_t piece, std::int64_t thread) {
    product.run(piece, scratch.mutable_data_ptr<float>() + thread * apart,
                held[static_cast<std::size_t>(thread)]);
  });
}

namespace {

at::Tensor multiplied(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      bool is_gated) {
  const std::int64_t in = x.size(-1), out = weight.size(0) / (is_gated ? 2 : 1);
  const at::Tensor rows = x.reshape({-1, in}).contiguous();
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = out;
  at::Tensor y = at::empty(shape, x.options());
  const auto options = x.options().dtype(at::kFloat);
  const at::Tensor wide_bias =
      bias.defined() ? bias.to(at::kFloat).contiguous() : at::zeros({weight.size(0)}, options);
  const AmxShape whole{rows.size(0), in, 1, out, is_gated};
  const at::Tensor scratch = at::empty({whole.scratch(at::get_num_threads())}, options);
  multiply_amx({.first = rows.const_data_ptr(),
                .count = rows.size(0),
                .stride = in,
                .depth = in,
                .taps = {0},
                .places = {}},
               {weight.const_data_ptr(), out, wide_bias.const_data_ptr<float>(), is_gated},
               y.mutable_data_ptr(), scratch);
  return y;
}

}  // namespace

at::Tensor amx_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  RECORD_FUNCTION("amx_linear", std::vector<c10::IValue>({x, weight}));
  return multiplied(x, weight, bias, false);
}

at::Tensor amx_gated_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  RECORD_FUNCTION("amx_gated_linear", std::vector<c10::IValue>({x, weight}));
  return multiplied(x, weight, bias, true);
}

std::int64_t amx_linear_scratch(const AmxShape& shape, std::int64_t threads) {
  return shape.scratch(threads) + shape.out * (shape.is_gated ? 2 : 1);
}

}  // namespace emulsion::kernels

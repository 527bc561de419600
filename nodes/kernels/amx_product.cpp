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
constexpr std::int64_t kStripsPerThread = 8;  // of rows, which meet the same weights

// How a product is cut: into blocks of columns, strips of rows and slices of the depth.  A piece of
// work is a strip's results in a block; its slices come one after the other.
struct Cut {
  std::int64_t columns, rows, depth;
  std::int64_t run;  // of the depth: rows of a run stay in the first cache for all columns

  Cut(const AmxShape& shape, std::int64_t threads) {
    run = shape.taps > 1 ? kRun / 4 : kRun;
    depth = shape.taps > 1
                ? shape.depth
                : rounded_up(quotient_up(shape.depth, quotient_up(shape.depth, kMostDepth)), kUnit);
    const std::int64_t parts = shape.is_gated ? 2 : 1;
    const std::int64_t fit = kPacked / (depth * shape.taps * parts) / kUnit * kUnit;
    const bool few = shape.count * shape.depth <= kFewRows;
    const std::int64_t fair = few ? quotient_up(shape.out, kPiecesPerThread * threads) : shape.out;
    const std::int64_t most = std::clamp(std::min(fit, fair), kUnit, kMostColumns);
    columns = rounded_up(quotient_up(shape.out, quotient_up(shape.out, most)), kUnit);
    const std::int64_t strips =
        quotient_up(kStripsPerThread * threads, quotient_up(shape.out, columns));
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
  Product(const AmxRows& rows, const AmxWeight& weight, const AmxShape& shape,
          const AmxResult& result)
      : rows_(rows),
        weight_(weight),
        result_(result),
        cut_(shape, at::get_num_threads()),
        taps_(shape.taps),
        sums_at_(cut_.packed(shape)),
        parts_(shape.is_gated ? 2 : 1) {
    for (const AmxTaps& group : rows.groups) {
      segments_.emplace_back();
      for (const std::int64_t begin : group.begins) segments_.back().push_back(begin * 2);
    }
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
        for (std::size_t group = 0; group < segments_.size(); ++group) {
          const Written written{this, m, column, columns * parts_, &rows_.groups[group].places};
          const TileUse then{&write, &written};
          for (std::int64_t i = 0; i < depth; i += cut_.run)
            multiply(m, count, columns, group, {k, depth, i},
                     is_last && i + cut_.run >= depth ? &then : nullptr, packed, to);
        }
      }
    }
  }

 private:
  struct Slice {
    std::int64_t first, depth, run;  // of the depth, and where in it a run begins
  };

  // Where sums go that become complete.
  struct Written {
    const Product* product;
    std::int64_t row, column, stride;
    const std::vector<std::int32_t>* places;
  };

  // Of gated columns, two panels of values and those of their gates in turn.
  void pack(std::int64_t column, std::int64_t columns, std::int64_t k, std::int64_t depth,
            float* packed) const {
    const bool is_matrix = weight_.kernel == AmxKernel::Matrix;
    const auto pack_kernels =
        weight_.kernel == AmxKernel::Whole ? pack_kernels_amx : pack_halves_amx;
    const auto* const weights = static_cast<const Bfloat16Bits*>(weight_.first);
    for (std::int64_t n = 0; n < columns * parts_; n += kPanelColumns) {
      const std::int64_t unit = n / (kUnit * parts_) * kUnit, within = n % (kUnit * parts_);
      const std::int64_t row =
          column + unit + (within < kUnit ? within : weight_.out + within - kUnit);
      const Bfloat16Bits* const from = weights + row * rows_.depth * (is_matrix ? 1 : 9);
      float* const panel = packed + n * depth * taps_ / 2;
      if (is_matrix) {
        pack_rows_amx(from + k, rows_.depth, depth, panel);
        continue;
      }
      for (std::int64_t i = 0; i < depth; i += cut_.run)
        pack_kernels(from + i * 9, rows_.depth, std::min(cut_.run, depth - i),
                     panel + i * taps_ / 2 * kPanelColumns);
    }
  }

  void multiply(std::int64_t m, std::int64_t count, std::int64_t columns, std::size_t group,
                const Slice& slice, const TileUse* then, const float* packed, float* sums) const {
    const std::int64_t at = slice.first + slice.run,
                       depth = std::min(cut_.run, slice.depth - slice.run) / 2,
                       before = static_cast<std::int64_t>(group * segments_[group].size());
    multiply_amx(
        TileProduct{.rows = static_cast<const char*>(rows_.first) + (m * rows_.stride + at) * 2,
                    .stride = rows_.stride * 2,
                    .segments = segments_[group],
                    .depth = depth,
                    .count = count,
                    .panel = packed + (slice.run * taps_ / 2 + before * depth) * kPanelColumns,
                    .panels = columns * parts_ / kPanelColumns,
                    .distance = slice.depth * taps_ / 2 * kPanelColumns,
                    .y = sums,
                    .y_stride = columns * parts_,
                    .adds = at > 0,
                    .then = then});
  }

  // Sums of one unit of columns; of gated ones, when their gates are there too.
  static void write(const void* context, const TileSums& sums) {
    const auto& to = *static_cast<const Written*>(context);
    const Product& product = *to.product;
    const std::int64_t parts = product.parts_, unit = sums.panel * kPanelColumns / kUnit;
    if (unit % parts + 1 < parts) return;
    const std::int64_t gates = (parts - 1) * kUnit;
    write_amx({.first = sums.y - gates,
               .stride = to.stride,
               .gates = gates,
               .place = to.row + sums.first,
               .count = sums.count,
               .column = to.column + unit / parts * kUnit,
               .places = to.places->empty() ? nullptr : to.places->data()},
              product.result_, product.weight_.out);
  }

  const AmxRows& rows_;
  const AmxWeight& weight_;
  const AmxResult& result_;
  Cut cut_;
  std::int64_t taps_, sums_at_, parts_;              // taps_ of all groups
  std::vector<std::vector<std::int64_t>> segments_;  // where taps begin, in bytes, by group
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

void multiply_amx(const AmxRows& rows, const AmxWeight& weight, const AmxResult& result,
                  const at::Tensor& scratch) {
  const std::int64_t threads = at::get_num_threads();
  std::size_t taps = 0;
  for (const AmxTaps& group : rows.groups) taps += group.begins.size();
  const AmxShape shape{rows.count, rows.depth, static_cast<std::int64_t>(taps), weight.out,
                       weight.is_gated};
  const Product product(rows, weight, shape, result);
  const std::int64_t apart = thread_scratch(shape, threads);
  std::vector<std::int64_t> held(static_cast<std::size_t>(threads), -1);
  take_turns(product.pieces(), [&](std::int64_t piece, std::int64_t thread) {
    product.run(piece, scratch.mutable_data_ptr<float>() + thread * apart,
                held[static_cast<std::size_t>(thread)]);
  });
}

namespace {

// Onto y where that is added to; y [..., out] is contiguous.
void multiply_rows(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                   bool is_gated, bool is_added, const at::Tensor& y) {
  const std::int64_t in = x.size(-1), out = y.size(-1);
  const at::Tensor rows = x.reshape({-1, in}).contiguous();
  const auto options = x.options().dtype(at::kFloat);
  const at::Tensor wide_bias =
      bias.defined() ? bias.to(at::kFloat).contiguous() : at::zeros({weight.size(0)}, options);
  const AmxShape whole{rows.size(0), in, 1, out, is_gated};
  const at::Tensor scratch = at::empty({whole.scratch(at::get_num_threads())}, options);
  multiply_amx({.first = rows.const_data_ptr(),
                .count = rows.size(0),
                .stride = in,
                .depth = in,
                .groups = {{.begins = {0}, .places = {}}}},
               {.first = weight.const_data_ptr(), .out = out, .is_gated = is_gated},
               {.y = y.mutable_data_ptr(),
                .bias = wide_bias.const_data_ptr<float>(),
                .added = is_added ? y.const_data_ptr() : nullptr},
               scratch);
}

at::Tensor multiplied(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      bool is_gated) {
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = weight.size(0) / (is_gated ? 2 : 1);
  at::Tensor y = at::empty(shape, x.options());
  multiply_rows(x, weight, bias, is_gated, false, y);
  return y;
}

}  // namespace

at::Tensor amx_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  RECORD_FUNCTION("amx_linear", std::vector<c10::IValue>({x, weight}));
  return multiplied(x, weight, bias, false);
}

void amx_add_linear_(const at::Tensor& y, const at::Tensor& x, const at::Tensor& weight,
                     const at::Tensor& bias) {
  RECORD_FUNCTION("amx_linear", std::vector<c10::IValue>({x, weight}));
  multiply_rows(x, weight, bias, false, true, y);
}

at::Tensor amx_gated_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  RECORD_FUNCTION("amx_gated_linear", std::vector<c10::IValue>({x, weight}));
  return multiplied(x, weight, bias, true);
}

std::int64_t amx_linear_scratch(const AmxShape& shape, std::int64_t threads) {
  return shape.scratch(threads) + shape.out * (shape.is_gated ? 2 : 1);
}

}  // namespace emulsion::kernels

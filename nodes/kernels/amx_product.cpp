#include "kernels/amx_product.h"

#include <ATen/record_function.h>

#include "kernels/amx_pack.h"
#include "kernels/panel_tile_amx.h"
#include "kernels/rounding.h"
#include "kernels/take_turns.h"
#include "kernels/tensor_ops.h"
#include "kernels/unpack.h"

namespace emulsion::kernels {
namespace {

constexpr std::int64_t kUnit = 32, kFewestRows = 16;
constexpr std::int64_t kKernel = 9;           // numbers of a 3x3 kernel
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
  // Words of sixteen rows that are unpacked before they are brought side by side.
  std::int64_t unpacked(const AmxShape& shape) const {
    return shape.is_packed ? kPanelColumns * (shape.taps > 1 ? run * kKernel : depth) / 2 : 0;
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
        sums_at_(rounded_up(cut_.packed(shape), kPanelColumns)),
        unpacked_at_(sums_at_ + rounded_up(cut_.sums(shape), kPanelColumns)),
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

  // Sixteen rows, `stride` apart.
  struct Numbers {
    const Bfloat16Bits* first;
    std::int64_t stride;
  };

  // Of rows from `row` on the numbers `first` to `first + count`.
  Numbers numbers(std::int64_t row, std::int64_t first, std::int64_t count,
                  Bfloat16Bits* unpacked) const {
    const std::int64_t whole = rows_.depth * (weight_.kernel == AmxKernel::Matrix ? 1 : kKernel);
    const void* const rows = weight_.rows.const_data_ptr();
    if (!weight_.is_packed())
      return {static_cast<const Bfloat16Bits*>(rows) + row * whole + first, whole};
    const std::int64_t apart = weight_.rows.size(1);
    const auto* bytes = static_cast<const std::uint8_t*>(rows) + row * apart;
    for (std::int64_t i = 0; i < kPanelColumns; ++i, bytes += apart)
      unpack_numbers(bytes, first, count, weight_.packing, unpacked + i * count);
    return {unpacked, count};
  }

  // Of gated columns, two panels of values and those of their gates in turn.
  void pack(std::int64_t column, std::int64_t columns, std::int64_t k, std::int64_t depth,
            float* packed) const {
    auto* const unpacked = reinterpret_cast<Bfloat16Bits*>(packed + unpacked_at_);
    for (std::int64_t n = 0; n < columns * parts_; n += kPanelColumns) {
      const std::int64_t unit = n / (kUnit * parts_) * kUnit, within = n % (kUnit * parts_);
      const std::int64_t row =
          column + unit + (within < kUnit ? within : weight_.out + within - kUnit);
      float* const panel = packed + n * depth * taps_ / 2;
      if (weight_.kernel != AmxKernel::Matrix) {
        pack_kernels(row, depth, unpacked, panel);
        continue;
      }
      const Numbers rows = numbers(row, k, depth, unpacked);
      pack_rows_amx(rows.first, rows.stride, depth, panel);
    }
  }

  // The depth is whole where there are taps.
  void pack_kernels(std::int64_t row, std::int64_t depth, Bfloat16Bits* unpacked,
                    float* panel) const {
    const auto pack_run = weight_.kernel == AmxKernel::Whole ? pack_kernels_amx : pack_halves_amx;
    for (std::int64_t i = 0; i < depth; i += cut_.run) {
      const std::int64_t run = std::min(cut_.run, depth - i);
      const Numbers rows = numbers(row, i * kKernel, run * kKernel, unpacked);
      pack_run(rows.first, rows.stride / kKernel, run, panel + i * taps_ / 2 * kPanelColumns);
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
  std::int64_t taps_, sums_at_, unpacked_at_, parts_;  // taps_ of all groups
  std::vector<std::vector<std::int64_t>> segments_;    // where taps begin, in bytes, by group
};

AmxShape shape_of(const AmxRows& rows, const AmxWeight& weight) {
  std::size_t taps = 0;
  for (const AmxTaps& group : rows.groups) taps += group.begins.size();
  return {.count = rows.count,
          .depth = rows.depth,
          .taps = static_cast<std::int64_t>(taps),
          .out = weight.out,
          .is_gated = weight.is_gated,
          .is_packed = weight.is_packed()};
}

std::int64_t thread_scratch(const AmxShape& shape, std::int64_t threads) {
  const Cut cut(shape, threads);
  return rounded_up(cut.packed(shape), kPanelColumns) + rounded_up(cut.sums(shape), kPanelColumns) +
         rounded_up(cut.unpacked(shape), kPanelColumns);
}

}  // namespace

AmxWeight::AmxWeight(const Weight& weight)
    : rows(weight.data.contiguous()), out(weight.spec.shape[0]), packing(weight.packing) {}

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
  const AmxShape shape = shape_of(rows, weight);
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
void multiply_rows(const at::Tensor& x, const AmxWeight& weight, const at::Tensor& bias,
                   bool is_added, const at::Tensor& y) {
  const std::int64_t in = x.size(-1), biases = weight.out * (weight.is_gated ? 2 : 1);
  const at::Tensor rows = x.reshape({-1, in}).contiguous();
  const auto options = x.options().dtype(at::kFloat);
  const at::Tensor wide_bias =
      bias.defined() ? bias.to(at::kFloat).contiguous() : at::zeros({biases}, options);
  const AmxRows factor{.first = rows.const_data_ptr(),
                       .count = rows.size(0),
                       .stride = in,
                       .depth = in,
                       .groups = {{.begins = {0}, .places = {}}}};
  const at::Tensor scratch =
      at::empty({shape_of(factor, weight).scratch(at::get_num_threads())}, options);
  multiply_amx(factor, weight,
               {.y = y.mutable_data_ptr(),
                .bias = wide_bias.const_data_ptr<float>(),
                .added = is_added ? y.const_data_ptr() : nullptr},
               scratch);
}

at::Tensor multiplied(const at::Tensor& x, const AmxWeight& weight, const at::Tensor& bias) {
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = weight.out;
  at::Tensor y = at::empty(shape, x.options());
  multiply_rows(x, weight, bias, false, y);
  return y;
}

// What linear layers are recorded with, of which some have a 1x1 kernel.
std::vector<c10::IValue> recorded(const at::Tensor& x, const Weight& weight) {
  return {x, in_its_shape(weight).flatten(1)};
}

}  // namespace

at::Tensor in_its_shape(const Weight& weight) {
  return weight.packing == Packing::None ? weight.data : at::empty({1}).expand(weight.spec.shape);
}

at::Tensor amx_linear(const at::Tensor& x, const Weight& weight, const at::Tensor& bias) {
  RECORD_FUNCTION("amx_linear", recorded(x, weight));
  return multiplied(x, AmxWeight(weight), bias);
}

void amx_add_linear_(const at::Tensor& y, const at::Tensor& x, const Weight& weight,
                     const at::Tensor& bias) {
  RECORD_FUNCTION("amx_linear", recorded(x, weight));
  multiply_rows(x, AmxWeight(weight), bias, true, y);
}

at::Tensor amx_gated_linear(const at::Tensor& x, const Weight& weight, const at::Tensor& bias) {
  RECORD_FUNCTION("amx_gated_linear", recorded(x, weight));
  AmxWeight both(weight);
  both.out /= 2;
  both.is_gated = true;
  return multiplied(x, both, bias);
}

std::int64_t amx_linear_scratch(const AmxShape& shape, std::int64_t threads) {
  return shape.scratch(threads) + shape.out * (shape.is_gated ? 2 : 1);
}

}  // namespace emulsion::kernels

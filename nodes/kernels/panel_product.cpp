#include "kernels/panel_product.h"

#include <ATen/ops/empty.h>
#include <ATen/record_function.h>

#include <array>

#include "kernels/panel_tile.h"
#include "kernels/rounding.h"
#include "kernels/take_turns.h"
#include "kernels/tensor_ops.h"
#include "kernels/vector_lanes.h"
#include "kernels/vector_math.h"

namespace emulsion::kernels {
namespace {

// Of packed weights at a time: elements, which the last cache is to hold, and columns.
constexpr std::int64_t kPacked = 1280 * 1024, kMostColumns = 512;
// Rows that one thread takes at a time; a segment of them stays in its cache.
constexpr std::int64_t kFewestRows = 24, kMostRows = 96;
constexpr std::int64_t kPiecesPerThread = 4;

// Columns that are packed at a time.
std::int64_t packed_columns(std::int64_t columns, std::int64_t depth) {
  const std::int64_t fit = kPacked / depth / kPanelColumns * kPanelColumns;
  return std::min(rounded_up(columns, kPanelColumns), std::clamp(fit, kPanelColumns, kMostColumns));
}

// Rows of each piece of work: several for each thread, of the same size.
std::int64_t rows_at_once(std::int64_t rows) {
  const std::int64_t pieces = kPiecesPerThread * at::get_num_threads();
  const std::int64_t fair = rounded_up(quotient_up(rows, pieces), kTileRows);
  return std::clamp(fair, std::min(kFewestRows, rounded_up(rows, kTileRows)), kMostRows);
}

// Where the columns of a matrix go in a panel, one after the other; see PanelWeight::interleaved.
class PanelPlace {
 public:
  PanelPlace(std::int64_t depth, std::int64_t interleaved, std::int64_t column = 0)
      : outer_(depth / interleaved),
        interleaved_(interleaved),
        inner_(column % interleaved),
        place_(column / interleaved) {}

  EMULSION_INLINED std::int64_t next() {
    const std::int64_t at = inner_ * outer_ + place_;
    if (++inner_ == interleaved_) inner_ = 0, ++place_;
    return at * kPanelColumns;
  }

 private:
  std::int64_t outer_, interleaved_, inner_, place_;
};

// The first `columns` of 16 rows of a matrix, side by side; zeros beside them.
template <class Element>
EMULSION_AVX2 void pack_panel(const Element* from, std::int64_t columns, std::int64_t depth,
                              std::int64_t interleaved, float* to) {
  const std::int64_t whole = depth / kLanes * kLanes;
  // Half of the rows at a time: so many streams through memory are fetched ahead.
  for (std::int64_t half = 0; half < kPanelColumns; half += kLanes) {
    PanelPlace place(depth, interleaved);
    for (std::int64_t k = 0; k < whole; k += kLanes) {
      Lanes v[kLanes];
      load_columns(from + half * depth + k, depth, columns - half, v);
      for (const Lanes& column : v) lanes_at(to + place.next() + half) = column;
    }
  }
  PanelPlace place(depth, interleaved, whole);
  for (std::int64_t k = whole; k < depth; ++k) {
    float* lane = to + place.next();
    for (std::int64_t n = 0; n < kPanelColumns; ++n)
      lane[n] = n < columns ? widened(from[n * depth + k]) : 0;
  }
}

void pack(const PanelWeight& weight, std::int64_t column, float* to) {
  const std::int64_t depth = weight.matrix.size(1);
  const std::int64_t columns = std::min(kPanelColumns, weight.matrix.size(0) - column);
  if (weight.matrix.scalar_type() == at::kFloat)
    pack_panel(weight.matrix.const_data_ptr<float>() + column * depth, columns, depth,
               weight.interleaved, to);
  else
    pack_panel(static_cast<const Bfloat16Bits*>(weight.matrix.const_data_ptr()) + column * depth,
               columns, depth, weight.interleaved, to);
}

// Sums [rows, panels * 16] in memory.
struct Sums {
  float* first;
  std::int64_t stride;
};

struct Packed {
  const float* first;  // [panels, depth, 16]
  std::int64_t panels, depth;
};

template <class Element>
EMULSION_AVX2 void widen_row(const Element* from, float* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = widened(from[i]);
}

template <class Element>
EMULSION_AVX2 void narrow_row(const float* from, Element* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) narrow(from[i], to[i]);
}

// One block of columns of y.
class ColumnBlock {
 public:
  ColumnBlock(const PanelRows& rows, const at::Tensor& y, const float* bias, std::int64_t column,
              const Packed& packed)
      : rows_(rows),
        packed_(packed),
        bias_(bias + column),
        columns_(std::min(packed.panels * kPanelColumns, y.size(1) - column)),
        column_(column),
        y_(y),
        is_direct_(y.scalar_type() == at::kFloat && columns_ % kPanelColumns == 0) {}

  // `buffer`: rows of a segment, then sums.
  void run(std::int64_t first, std::int64_t count, float* buffer) const {
    std::array<const void*, kMostRows> places;
    const Sums sums = sums_of(first, buffer + kMostRows * rows_.length);
    for (std::int64_t m = 0; m < count; ++m)
      std::copy_n(bias_, columns_, sums.first + m * sums.stride);
    for (std::int64_t s = 0; s < rows_.segments; ++s) {
      rows_.fetch(s, first, count, places.data(), buffer);
      multiply({.rows = places.data(),
                .count = count,
                .panel = packed_.first + rows_.segment(s).offset * kPanelColumns,
                .panels = packed_.panels,
                .distance = packed_.depth * kPanelColumns,
                .depth = rows_.segment(s).length,
                .y = sums.first,
                .stride = sums.stride,
                .adds = true});
    }
    if (!is_direct_) write(first, count, sums);
  }

 private:
  Sums sums_of(std::int64_t first, float* buffer) const {
    if (!is_direct_) return {buffer, packed_.panels * kPanelColumns};
    return {y_.mutable_data_ptr<float>() + first * y_.size(1) + column_, y_.size(1)};
  }

  void write(std::int64_t first, std::int64_t count, const Sums& sums) const {
    for (std::int64_t m = 0; m < count; ++m) {
      const std::int64_t to = (first + m) * y_.size(1) + column_;
      const float* from = sums.first + m * sums.stride;
      if (y_.scalar_type() == at::kFloat)
        narrow_row(from, y_.mutable_data_ptr<float>() + to, columns_);
      else
        narrow_row(from, static_cast<Bfloat16Bits*>(y_.mutable_data_ptr()) + to, columns_);
    }
  }

  const PanelRows& rows_;
  Packed packed_;
  const float* bias_;
  std::int64_t columns_, column_;
  const at::Tensor& y_;
  bool is_direct_;
};

std::int64_t thread_scratch(std::int64_t columns, std::int64_t length) {
  return kMostRows * (length + columns);
}

// Rows of a matrix [rows, depth].
template <class Element>
struct MatrixRows final : PanelRows {
  const Element* first;
  std::int64_t depth;

  explicit MatrixRows(const at::Tensor& x)
      : first(static_cast<const Element*>(x.const_data_ptr())), depth(x.size(1)) {
    count = x.size(0);
    length = std::min(depth, kPanelSegment);
    segments = (depth + length - 1) / length;
  }
  Segment segment(std::int64_t index) const override {
    return {index * length, std::min(length, depth - index * length)};
  }
  void fetch(std::int64_t index, std::int64_t row, std::int64_t rows, const void** places,
             float* buffer) const override {
    const Segment wanted = segment(index);
    for (std::int64_t m = 0; m < rows; ++m) {
      const Element* from = first + (row + m) * depth + wanted.offset;
      if constexpr (std::is_same_v<Element, float>) {
        places[m] = from;
      } else {
        widen_row(from, buffer + m * length, wanted.length);
        places[m] = buffer + m * length;
      }
    }
  }
};

at::Tensor as_matrix(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}).contiguous(); }

std::vector<float> bias_of(const PanelWeight& weight) {
  std::vector<float> values(static_cast<std::size_t>(weight.matrix.size(0)));
  if (!weight.bias.defined()) return values;
  const at::Tensor wide = weight.bias.to(at::kFloat).contiguous();
  std::copy_n(wide.const_data_ptr<float>(), wide.numel(), values.data());
  return values;
}

}  // namespace

bool panels_hold(c10::ScalarType dtype) {
#if defined(__x86_64__) && defined(__GNUC__)
  static const bool suits = has_panel_tiles() && __builtin_cpu_supports("avx512f") == 0;
  return suits && (dtype == at::kFloat || dtype == at::kBFloat16);
#else
  return false;
#endif
}

void multiply_panels(const PanelRows& rows, const PanelWeight& weight, const at::Tensor& y) {
  const std::int64_t columns = weight.matrix.size(0), depth = weight.matrix.size(1);
  const std::int64_t block = packed_columns(columns, depth);
  const std::int64_t scratch = thread_scratch(block, rows.length);
  const std::int64_t at_once = rows_at_once(rows.count);
  const auto options = y.options().dtype(at::kFloat).memory_format(std::nullopt);
  const at::Tensor packed = at::empty({block, depth}, options);
  const at::Tensor buffers = at::empty({at::get_num_threads(), scratch}, options);
  auto* panels = packed.mutable_data_ptr<float>();
  auto* buffer = buffers.mutable_data_ptr<float>();
  const std::vector<float> bias = bias_of(weight);
  for (std::int64_t column = 0; column < columns; column += block) {
    const std::int64_t count = quotient_up(std::min(block, columns - column), kPanelColumns);
    take_turns(count, [&](std::int64_t p, std::int64_t /*thread*/) {
      pack(weight, column + p * kPanelColumns, panels + p * kPanelColumns * depth);
    });
    const ColumnBlock one(rows, y, bias.data(), column, {panels, count, depth});
    take_turns((rows.count + at_once - 1) / at_once, [&](std::int64_t i, std::int64_t thread) {
      one.run(i * at_once, std::min(at_once, rows.count - i * at_once), buffer + thread * scratch);
    });
  }
}

std::int64_t panel_scratch(std::int64_t columns, std::int64_t depth, std::int64_t length,
                           std::int64_t threads) {
  const std::int64_t block = packed_columns(columns, depth);
  return block * depth + threads * thread_scratch(block, length);
}

namespace {

template <class Element>
void multiply_rows(const at::Tensor& rows, const PanelWeight& weight, const at::Tensor& y) {
  multiply_panels(MatrixRows<Element>(rows), weight, y);
}

}  // namespace

at::Tensor panel_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  RECORD_FUNCTION("panel_linear", std::vector<c10::IValue>({x, weight}));
  const at::Tensor rows = as_matrix(x);
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = weight.size(0);
  const at::Tensor y = at::empty({rows.size(0), weight.size(0)}, x.options());
  const PanelWeight columns{weight, bias};
  if (x.scalar_type() == at::kFloat)
    multiply_rows<float>(rows, columns, y);
  else
    multiply_rows<Bfloat16Bits>(rows, columns, y);
  return y.view(shape);
}

std::int64_t panel_linear_scratch(std::int64_t in, std::int64_t out, std::int64_t threads) {
  return panel_scratch(out, in, std::min(in, kPanelSegment), threads);
}

}  // namespace emulsion::kernels

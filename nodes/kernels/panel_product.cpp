#include "kernels/panel_product.h"

#include <ATen/ops/empty.h>
#include <ATen/record_function.h>

#include <array>

#include "emulsion/processor.h"
#include "kernels/panel_pack.h"
#include "kernels/panel_tile.h"
#include "kernels/rounding.h"
#include "kernels/take_turns.h"
#include "kernels/tensor_ops.h"
#include "kernels/vector_math.h"

namespace emulsion::kernels {
namespace {

// Elements that a thread packs at a time, which its cache is to hold beside rows; but as many
// panels as AVX-512 multiplies with at once, as long as these do not pass a limit.
constexpr std::int64_t kPacked = 96 * 1024, kMostPacked = 320 * 1024;
constexpr std::int64_t kAtOnce = 4, kMostPanels = 16;
// Rows whose segments a thread takes at a time.
constexpr std::int64_t kRows = 96;
// Elements of a matrix that all columns are multiplied with before the next ones, which the last
// cache is to hold.
constexpr std::int64_t kKeptRows = 1280 * 1024;
// Pieces of work for each thread, so that all end at the same time.
constexpr std::int64_t kPiecesPerThread = 6;

// Panels that a thread packs at a time.
std::int64_t packed_panels(std::int64_t columns, std::int64_t depth) {
  const std::int64_t panel = depth * kPanelColumns;
  const std::int64_t fewest = std::clamp<std::int64_t>(kMostPacked / panel, 1, kAtOnce);
  const std::int64_t fit = std::clamp(kPacked / panel, fewest, kMostPanels);
  return std::min(fit, quotient_up(columns, kPanelColumns));
}

void pack(const PanelWeight& weight, std::int64_t column, float* to) {
  const std::int64_t depth = weight.matrix.size(1);
  const std::int64_t columns = std::min(kPanelColumns, weight.matrix.size(0) - column);
  const auto pack_from = [&](const auto* matrix) {
    pack_panel(matrix + column * depth, columns, depth, weight.interleaved, to);
  };
  if (weight.matrix.scalar_type() == at::kFloat)
    pack_from(weight.matrix.const_data_ptr<float>());
  else
    pack_from(static_cast<const Bfloat16Bits*>(weight.matrix.const_data_ptr()));
}

EMULSION_VECTOR_CLONES void narrow_row(const float* from, float* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) narrow(from[i], to[i]);
}
EMULSION_VECTOR_CLONES void narrow_row(const float* from, Bfloat16Bits* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) narrow(from[i], to[i]);
}

std::vector<float> bias_of(const PanelWeight& weight) {
  std::vector<float> values(static_cast<std::size_t>(weight.matrix.size(0)));
  if (!weight.bias.defined()) return values;
  const at::Tensor wide = weight.bias.to(at::kFloat).contiguous();
  std::copy_n(wide.const_data_ptr<float>(), wide.numel(), values.data());
  return values;
}

// Elements of a thread's panels, and sums.
std::int64_t thread_scratch(std::int64_t panels, std::int64_t depth) {
  return panels * kPanelColumns * (depth + kRows);
}

// One product, with what it allocates.
class Multiplying {
 public:
  Multiplying(const PanelRows& rows, const PanelWeight& weight, const at::Tensor& y)
      : rows_(rows),
        weight_(weight),
        y_(y),
        columns_(weight.matrix.size(0)),
        depth_(weight.matrix.size(1)),
        panels_(packed_panels(columns_, depth_)),
        bias_(bias_of(weight)),
        packed_(static_cast<std::size_t>(at::get_num_threads()), -1),
        buffers_(at::empty({at::get_num_threads(), thread_scratch(panels_, depth_)},
                           y.options().dtype(at::kFloat).memory_format(std::nullopt))) {}

  // Each piece is a group of columns and a range of rows.
  void run() {
    const std::int64_t groups = quotient_up(columns_, panels_ * kPanelColumns);
    const std::int64_t wanted =
        quotient_up(kPiecesPerThread * at::get_num_threads(), groups) * kRows;
    const std::int64_t range = rounded_up(quotient_up(rows_.count * kRows, wanted), kRows);
    const std::int64_t ranges = quotient_up(rows_.count, range);
    take_turns(groups * ranges, [&](std::int64_t i, std::int64_t thread) {
      const std::int64_t first = i % ranges * range;
      multiply_range(i / ranges, first, std::min(first + range, rows_.count), thread);
    });
  }

 private:
  // Some columns, as they are packed, and where their sums are made.
  struct Group {
    std::int64_t column, columns, panels;
    const float* packed;
    float* sums;
    bool is_direct;  // sums are made in y
  };

  void multiply_range(std::int64_t index, std::int64_t first, std::int64_t end,
                      std::int64_t thread) {
    float* const buffer = buffers_.mutable_data_ptr<float>() + thread * buffers_.size(1);
    const std::int64_t column = index * panels_ * kPanelColumns;
    const std::int64_t columns = std::min(panels_ * kPanelColumns, columns_ - column);
    const bool is_direct = y_.scalar_type() == at::kFloat && columns % kPanelColumns == 0;
    const Group group{column,
                      columns,
                      quotient_up(columns, kPanelColumns),
                      buffer,
                      buffer + panels_ * kPanelColumns * depth_,
                      is_direct};
    if (packed_[static_cast<std::size_t>(thread)] != index)
      for (std::int64_t p = 0; p < group.panels; ++p)
        pack(weight_, column + p * kPanelColumns, buffer + p * kPanelColumns * depth_);
    packed_[static_cast<std::size_t>(thread)] = index;
    for (; first < end; first += kRows) multiply_rows(group, first, std::min(kRows, end - first));
  }

  void multiply_rows(const Group& group, std::int64_t first, std::int64_t count) const {
    std::array<const void*, kRows> places;
    const std::int64_t stride = group.is_direct ? columns_ : group.panels * kPanelColumns;
    float* const sums = group.is_direct
                            ? y_.mutable_data_ptr<float>() + first * columns_ + group.column
                            : group.sums;
    for (std::int64_t m = 0; m < count; ++m)
      std::copy_n(&bias_[static_cast<std::size_t>(group.column)], group.columns, sums + m * stride);
    for (std::int64_t s = 0; s < rows_.segments; ++s) {
      const PanelRows::Segment segment = rows_.segment(s);
      rows_.fetch(s, first, count, places.data());
      multiply({.rows = places.data(),
                .count = count,
                .panel = group.packed + segment.offset * kPanelColumns,
                .panels = group.panels,
                .distance = depth_ * kPanelColumns,
                .depth = segment.length,
                .y = sums,
                .stride = stride,
                .adds = true});
    }
    if (!group.is_direct) write(group, first, count);
  }

  void write(const Group& group, std::int64_t first, std::int64_t count) const {
    for (std::int64_t m = 0; m < count; ++m) {
      const std::int64_t to = (first + m) * columns_ + group.column;
      const float* from = group.sums + m * group.panels * kPanelColumns;
      if (y_.scalar_type() == at::kFloat)
        narrow_row(from, y_.mutable_data_ptr<float>() + to, group.columns);
      else
        narrow_row(from, static_cast<Bfloat16Bits*>(y_.mutable_data_ptr()) + to, group.columns);
    }
  }

  const PanelRows& rows_;
  const PanelWeight& weight_;
  const at::Tensor& y_;
  std::int64_t columns_, depth_, panels_;
  std::vector<float> bias_;
  std::vector<std::int64_t> packed_;  // the group that each thread has packed
  at::Tensor buffers_;                // of each thread panels [panels, depth, 16], then sums
};

// Rows of a matrix [rows, depth].
struct MatrixRows final : PanelRows {
  const float* first;
  std::int64_t depth, length;

  explicit MatrixRows(const at::Tensor& x)
      : first(x.const_data_ptr<float>()), depth(x.size(1)), length(std::min(depth, kPanelSegment)) {
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

// Rows that all columns are multiplied with before the next, so that the last cache holds them.
std::int64_t kept_rows(std::int64_t depth) {
  return std::max(kRows, kKeptRows / depth / kRows * kRows);
}

}  // namespace

bool panels_hold(c10::ScalarType dtype) {
  static const bool has_floats = has_panel_tiles();
  static const bool are_floats_faster = !has_tile_products() && !multiplies_pairs();
  return has_floats && (dtype == at::kFloat || (dtype == at::kBFloat16 && are_floats_faster));
}

void multiply_panels(const PanelRows& rows, const PanelWeight& weight, const at::Tensor& y) {
  Multiplying(rows, weight, y).run();
}

std::int64_t panel_scratch(std::int64_t columns, std::int64_t depth, std::int64_t threads) {
  return threads * thread_scratch(packed_panels(columns, depth), depth);
}

at::Tensor panel_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  RECORD_FUNCTION("panel_linear", std::vector<c10::IValue>({x, weight}));
  const at::Tensor rows = x.reshape({-1, x.size(-1)}).contiguous();
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = weight.size(0);
  const at::Tensor y = at::empty({rows.size(0), weight.size(0)}, x.options());
  const std::int64_t step = kept_rows(x.size(-1));
  for (std::int64_t begin = 0; begin < rows.size(0); begin += step) {
    const std::int64_t count = std::min(step, rows.size(0) - begin);
    const at::Tensor wide = rows.narrow(0, begin, count).to(at::kFloat);
    multiply_panels(MatrixRows(wide), {weight, bias}, y.narrow(0, begin, count));
  }
  return y.view(shape);
}

std::int64_t panel_linear_scratch(c10::ScalarType dtype, std::int64_t rows, std::int64_t in,
                                  std::int64_t out, std::int64_t threads) {
  const std::int64_t widened = dtype == at::kFloat ? 0 : std::min(rows, kept_rows(in)) * in;
  return widened + panel_scratch(out, in, threads);
}

}  // namespace emulsion::kernels

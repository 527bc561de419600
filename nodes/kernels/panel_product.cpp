#include "kernels/panel_product.h"

#include <ATen/ops/empty.h>

#include <array>

#include "emulsion/processor.h"
#include "kernels/gate_row.h"
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
// Pieces of work for each thread, so that all end at the same time.
constexpr std::int64_t kPiecesPerThread = 6;

void pack(const PanelWeight& weight, Words words, std::int64_t column, float* to) {
  const std::int64_t depth = weight.matrix.size(1);
  const std::int64_t columns = std::min(kPanelColumns, weight.matrix.size(0) - column);
  const PanelRange range{columns, depth, depth, weight.interleaved};
  if (weight.matrix.scalar_type() == at::kFloat) {
    pack_panel(weight.matrix.const_data_ptr<float>() + column * depth, range, to);
    return;
  }
  const auto* matrix = static_cast<const Bfloat16Bits*>(weight.matrix.const_data_ptr());
  if (words == Words::BfloatPairs)
    pack_pairs(matrix + column * depth, range, to);
  else
    pack_panel(matrix + column * depth, range, to);
}

EMULSION_VECTOR_CLONES void narrow_row(const float* from, float* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) narrow(from[i], to[i]);
}
EMULSION_VECTOR_CLONES void narrow_row(const float* from, Bfloat16Bits* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) narrow(from[i], to[i]);
}

// x + more -> y, which may be x.
template <class Element>
EMULSION_INLINED void add_widened(const Element* x, const float* more, std::int64_t count,
                                  float* y) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = widened(x[i]) + more[i];
}
EMULSION_VECTOR_CLONES void add_rows(const float* x, const float* more, std::int64_t count,
                                     float* y) {
  add_widened(x, more, count, y);
}
EMULSION_VECTOR_CLONES void add_rows(const Bfloat16Bits* x, const float* more, std::int64_t count,
                                     float* y) {
  add_widened(x, more, count, y);
}

std::vector<float> bias_of(const PanelWeight& weight) {
  const std::int64_t columns = rounded_up(weight.matrix.size(0), kPanelColumns);
  std::vector<float> values(static_cast<std::size_t>(columns));
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
  Multiplying(const PanelRows& rows, const PanelWeight& weight, const at::Tensor& y, bool adds)
      : rows_(rows),
        weight_(weight),
        y_(y),
        adds_(adds),
        columns_(y.size(1)),
        depth_(in_words(rows.words, weight.matrix.size(1))),
        panels_(packed_panels(weight.matrix.size(0), depth_)),
        bias_(bias_of(weight)),
        packed_(static_cast<std::size_t>(at::get_num_threads()), -1),
        buffers_(at::empty({at::get_num_threads(), thread_scratch(panels_, depth_)},
                           y.options().dtype(at::kFloat).memory_format(std::nullopt))) {}

  // Each piece is a group of columns and a range of rows.
  void run() {
    const std::int64_t groups = quotient_up(columns_, group_columns());
    const std::int64_t parts = quotient_up(kPiecesPerThread * at::get_num_threads(), groups);
    const std::int64_t range = rounded_up(quotient_up(rows_.count, parts), kRows);
    const std::int64_t ranges = quotient_up(rows_.count, range);
    take_turns(groups * ranges, [&](std::int64_t i, std::int64_t thread) {
      const std::int64_t first = i % ranges * range;
      multiply_range(i / ranges, first, std::min(first + range, rows_.count), thread);
    });
  }

 private:
  // Some columns of y: their panels, with gates behind values, and where their sums are made.
  struct Group {
    std::int64_t column, columns, panels;
    const float* packed;
    float* sums;
    bool is_direct;  // sums are made in y
  };

  std::int64_t group_columns() const {
    return panels_ * kPanelColumns / (weight_.is_gated ? 2 : 1);
  }

  Group group(std::int64_t index, float* buffer) const {
    const std::int64_t column = index * group_columns();
    const std::int64_t columns = std::min(group_columns(), columns_ - column);
    const std::int64_t panels = quotient_up(columns, kPanelColumns) * (weight_.is_gated ? 2 : 1);
    const bool is_direct =
        y_.scalar_type() == at::kFloat && !weight_.is_gated && columns % kPanelColumns == 0;
    return {column, columns, panels, buffer, buffer + panels_ * kPanelColumns * depth_, is_direct};
  }

  // The column of the matrix that a panel of a group begins with.
  std::int64_t begin_of(const Group& group, std::int64_t panel) const {
    const std::int64_t values = weight_.is_gated ? group.panels / 2 : group.panels;
    return group.column +
           (panel < values ? panel * kPanelColumns : columns_ + (panel - values) * kPanelColumns);
  }

  void multiply_range(std::int64_t index, std::int64_t first, std::int64_t end,
                      std::int64_t thread) {
    float* const buffer = buffers_.mutable_data_ptr<float>() + thread * buffers_.size(1);
    const Group group = this->group(index, buffer);
    if (packed_[static_cast<std::size_t>(thread)] != index)
      for (std::int64_t p = 0; p < group.panels; ++p)
        pack(weight_, rows_.words, begin_of(group, p), buffer + p * kPanelColumns * depth_);
    packed_[static_cast<std::size_t>(thread)] = index;
    for (; first < end; first += kRows) multiply_rows(group, first, std::min(kRows, end - first));
  }

  void multiply_rows(const Group& group, std::int64_t first, std::int64_t count) const {
    std::array<const void*, kRows> places;
    const std::int64_t stride = group.is_direct ? columns_ : group.panels * kPanelColumns;
    float* const sums = group.is_direct
                            ? y_.mutable_data_ptr<float>() + first * columns_ + group.column
                            : group.sums;
    for (std::int64_t m = 0; m < count; ++m) begin(group, first + m, sums + m * stride);
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
                .adds = true},
               rows_.words);
    }
    if (group.is_direct) return;
    for (std::int64_t m = 0; m < count; ++m) {
      if (y_.scalar_type() == at::kFloat)
        end(group, sums + m * stride, row_of<float>(group, first + m));
      else
        end(group, sums + m * stride, row_of<Bfloat16Bits>(group, first + m));
    }
  }

  template <class Element>
  Element* row_of(const Group& group, std::int64_t row) const {
    return static_cast<Element*>(y_.mutable_data_ptr()) + row * columns_ + group.column;
  }

  // Sums begin with the bias, and with what they are added to.
  void begin(const Group& group, std::int64_t row, float* sums) const {
    const float* const bias = bias_.data();
    if (!adds_) {
      for (std::int64_t p = 0; p < group.panels; ++p)
        std::copy_n(bias + begin_of(group, p), kPanelColumns, sums + p * kPanelColumns);
    } else if (y_.scalar_type() == at::kFloat) {
      add_rows(row_of<float>(group, row), bias + group.column, group.columns, sums);
    } else {
      add_rows(row_of<Bfloat16Bits>(group, row), bias + group.column, group.columns, sums);
    }
  }

  template <class Element>
  void end(const Group& group, const float* sums, Element* y) const {
    if (weight_.is_gated)
      gate_row(sums, group.columns, y);
    else
      narrow_row(sums, y, group.columns);
  }

  const PanelRows& rows_;
  const PanelWeight& weight_;
  const at::Tensor& y_;
  bool adds_;
  std::int64_t columns_, depth_, panels_;  // columns of y, words
  std::vector<float> bias_;                // of the matrix, and zeros up to the end of a panel
  std::vector<std::int64_t> packed_;       // the group that each thread has packed
  at::Tensor buffers_;                     // of each thread panels [panels, depth, 16], then sums
};

}  // namespace

std::int64_t packed_panels(std::int64_t columns, std::int64_t depth) {
  const std::int64_t panel = depth * kPanelColumns, most = kMostPacked / panel;
  const std::int64_t fewest = most >= kAtOnce ? kAtOnce : most >= 2 ? 2 : 1;
  const std::int64_t fit = std::clamp(kPacked / panel / kAtOnce * kAtOnce, fewest, kMostPanels);
  return std::min(fit, quotient_up(columns, kPanelColumns));
}

bool panels_hold(c10::ScalarType dtype) {
  static const bool has_floats = has_panel_tiles();
  return has_floats && (dtype == at::kFloat || (dtype == at::kBFloat16 && !has_tile_products()));
}

void multiply_panels(const PanelRows& rows, const PanelWeight& weight, const at::Tensor& y,
                     bool adds) {
  Multiplying(rows, weight, y, adds).run();
}

std::int64_t panel_scratch(std::int64_t columns, std::int64_t depth, std::int64_t threads) {
  return threads * thread_scratch(packed_panels(columns, depth), depth);
}

}  // namespace emulsion::kernels

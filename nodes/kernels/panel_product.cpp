#include "kernels/panel_product.h"

#include <ATen/ops/empty.h>

#include <array>

#include "emulsion/processor.h"
#include "kernels/gate_row.h"
#include "kernels/panel_pack.h"
#include "kernels/panel_tile.h"
#include "kernels/rounding.h"
#include "kernels/sum_row.h"
#include "kernels/take_turns.h"
#include "kernels/tensor_ops.h"
#include "kernels/unpack.h"

namespace emulsion::kernels {
namespace {

// Elements that a thread packs at a time, which its cache is to hold beside rows; but as many
// panels as AVX-512 multiplies with at once, as long as these do not pass a limit.
constexpr std::int64_t kPacked = 96 * 1024, kMostPacked = 320 * 1024;
constexpr std::int64_t kAtOnce = 4, kMostPanels = 16;
// Numbers of each row that are unpacked at a time.
constexpr std::int64_t kUnpacked = 640;
// Rows whose segments a thread takes at a time.
constexpr std::int64_t kRows = 96;
// Pieces of work for each thread, so that all end at the same time.
constexpr std::int64_t kPiecesPerThread = 6;

std::int64_t columns_of(const Weight& matrix) { return matrix.spec.shape[0]; }
std::int64_t depth_of(const Weight& matrix) { return matrix.spec.count() / columns_of(matrix); }

// Sixteen rows of a matrix, from one on, side by side in a panel.
class SixteenRows {
 public:
  SixteenRows(const PanelWeight& weight, std::int64_t row, Words words)
      : matrix_(weight.matrix),
        interleaved_(weight.interleaved),
        row_(row),
        count_(std::min(kPanelColumns, columns_of(matrix_) - row)),
        depth_(depth_of(matrix_)),
        words_(words) {}

  // `buffer` takes what is unpacked.
  template <class Element>
  void bring(float* to, float* buffer) const {
    if (matrix_.packing == Packing::None)
      pack<Element>(to);
    else
      unpack<Element>(to, buffer);
  }

 private:
  template <class Element>
  void pack(float* to) const {
    const auto* numbers = static_cast<const Element*>(matrix_.data.const_data_ptr());
    pack_words(numbers + row_ * depth_, {count_, depth_, depth_, interleaved_}, words_, to);
  }

  // Slice by slice.
  template <class Element>
  void unpack(float* to, float* buffer) const {
    const at::Tensor& bytes = matrix_.data;
    const auto* const rows = bytes.const_data_ptr<std::uint8_t>() + row_ * bytes.size(1);
    auto* const numbers = reinterpret_cast<Element*>(buffer);
    for (std::int64_t first = 0; first < depth_; first += kUnpacked) {
      const std::int64_t length = std::min(kUnpacked, depth_ - first);
      for (std::int64_t n = 0; n < count_; ++n)
        unpack_numbers(rows + n * bytes.size(1), first, length, matrix_.packing,
                       numbers + n * length);
      pack_words(numbers, {count_, length, length}, words_,
                 to + in_words(words_, first) * kPanelColumns);
    }
  }

  const Weight& matrix_;
  std::int64_t interleaved_, row_, count_, depth_;
  Words words_;
};

// Words of a thread's panels, and sums.
std::int64_t thread_scratch(std::int64_t panels, std::int64_t depth) {
  return panels * kPanelColumns * (depth + kRows);
}

std::int64_t unpacking(const PanelWeight& weight) {
  return weight.matrix.packing == Packing::None ? 0 : unpacking_scratch();
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
        depth_(in_words(rows.words, depth_of(weight.matrix))),
        panels_(packed_panels(columns_of(weight.matrix), depth_)),
        bias_(grouped_bias()),
        packed_(static_cast<std::size_t>(at::get_num_threads()), -1),
        buffers_(
            at::empty({at::get_num_threads(), thread_scratch(panels_, depth_) + unpacking(weight)},
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
  // Some columns of y, and their panels, with gates behind values.
  struct Columns {
    std::int64_t column, columns, panels;
  };

  // The same with what they begin with, are multiplied with, and where their sums are made.
  struct Group : Columns {
    const float *bias, *packed;
    float* sums;
    bool is_direct;  // sums are made in y
  };

  std::int64_t group_columns() const {
    return panels_ * kPanelColumns / (weight_.is_gated ? 2 : 1);
  }

  Columns columns_at(std::int64_t index) const {
    const std::int64_t column = index * group_columns();
    const std::int64_t columns = std::min(group_columns(), columns_ - column);
    return {column, columns, quotient_up(columns, kPanelColumns) * (weight_.is_gated ? 2 : 1)};
  }

  Group group(std::int64_t index, float* buffer) const {
    const Columns some = columns_at(index);
    const bool is_direct =
        y_.scalar_type() == at::kFloat && !weight_.is_gated && some.columns % kPanelColumns == 0;
    const float* bias = bias_.data() + index * panels_ * kPanelColumns;
    float* sums = buffer + panels_ * kPanelColumns * depth_;
    return {some, bias, buffer, sums, is_direct};
  }

  // `buffer` is the thread's.
  void pack(const SixteenRows& rows, float* buffer, float* panel) const {
    float* const unpacked = buffer + thread_scratch(panels_, depth_);
    if (y_.scalar_type() == at::kFloat)
      rows.bring<float>(panel, unpacked);
    else
      rows.bring<Bfloat16Bits>(panel, unpacked);
  }

  // Of all groups the bias as their panels lie, and zeros up to the end of the last.
  std::vector<float> grouped_bias() const {
    const std::int64_t groups = quotient_up(columns_, group_columns());
    std::vector<float> values(static_cast<std::size_t>(groups * panels_ * kPanelColumns));
    if (!weight_.bias.defined()) return values;
    const at::Tensor wide = weight_.bias.to(at::kFloat).contiguous();
    float* to = values.data();
    for (std::int64_t g = 0; g < groups; ++g) {
      const Columns columns = columns_at(g);
      for (std::int64_t p = 0; p < columns.panels; ++p, to += kPanelColumns) {
        const std::int64_t begin = begin_of(columns, p);
        std::copy_n(wide.const_data_ptr<float>() + begin,
                    std::min(kPanelColumns, wide.numel() - begin), to);
      }
    }
    return values;
  }

  // The column of the matrix that a panel begins with.
  std::int64_t begin_of(const Columns& some, std::int64_t panel) const {
    const std::int64_t values = weight_.is_gated ? some.panels / 2 : some.panels;
    return some.column +
           (panel < values ? panel * kPanelColumns : columns_ + (panel - values) * kPanelColumns);
  }

  void multiply_range(std::int64_t index, std::int64_t first, std::int64_t end,
                      std::int64_t thread) {
    float* const buffer = buffers_.mutable_data_ptr<float>() + thread * buffers_.size(1);
    const Group group = this->group(index, buffer);
    if (packed_[static_cast<std::size_t>(thread)] != index)
      for (std::int64_t p = 0; p < group.panels; ++p)
        pack({weight_, begin_of(group, p), rows_.words}, buffer,
             buffer + p * kPanelColumns * depth_);
    packed_[static_cast<std::size_t>(thread)] = index;
    for (; first < end; first += kRows) multiply_rows(group, first, std::min(kRows, end - first));
  }

  void multiply_rows(const Group& group, std::int64_t first, std::int64_t count) const {
    std::array<const void*, kRows> places;
    const std::int64_t stride = group.is_direct ? columns_ : group.panels * kPanelColumns;
    float* const sums = group.is_direct
                            ? y_.mutable_data_ptr<float>() + first * columns_ + group.column
                            : group.sums;
    for (std::int64_t m = 0; m < count && adds_; ++m) begin(group, first + m, sums + m * stride);
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
                .adds = s > 0 || adds_,
                .bias = group.bias},
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

  // Sums that are added to y begin with that, and with the bias.
  void begin(const Group& group, std::int64_t row, float* sums) const {
    if (y_.scalar_type() == at::kFloat)
      add_row(row_of<float>(group, row), group.bias, group.columns, sums);
    else
      add_row(row_of<Bfloat16Bits>(group, row), group.bias, group.columns, sums);
  }

  template <class Element>
  void end(const Group& group, const float* sums, Element* y) const {
    if (weight_.is_gated)
      gate_row(sums, group.columns, y);
    else
      narrow_row(sums, group.columns, y);
  }

  const PanelRows& rows_;
  const PanelWeight& weight_;
  const at::Tensor& y_;
  bool adds_;
  std::int64_t columns_, depth_, panels_;  // columns of y, words
  std::vector<float> bias_;                // see grouped_bias()
  std::vector<std::int64_t> packed_;       // the group that each thread has packed
  at::Tensor buffers_;  // of each thread panels [panels, depth, 16], sums, and what is unpacked
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

std::int64_t unpacking_scratch() { return kUnpacked * kPanelColumns; }

}  // namespace emulsion::kernels

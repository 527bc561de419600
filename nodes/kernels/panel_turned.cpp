#include "kernels/panel_turned.h"

#include <ATen/ops/empty.h>

#include <array>

#include "kernels/gate_row.h"
#include "kernels/panel_pack.h"
#include "kernels/rounding.h"
#include "kernels/sum_row.h"
#include "kernels/take_turns.h"
#include "kernels/tensor_ops.h"

namespace emulsion::kernels {
namespace {

constexpr std::int64_t kMostRows = 256;
// Rows of the weight that a thread multiplies with at a time; half of them are gates, if there are.
constexpr std::int64_t kOutputs = 96;

// Sums [kOutputs, rows], and the same turned round.
std::int64_t thread_scratch(std::int64_t panels) { return 2 * kOutputs * panels * kPanelColumns; }

// One product, with what it allocates.
template <class Element>
class Turning {
 public:
  Turning(const at::Tensor& x, const PanelWeight& weight, const at::Tensor& y, bool adds)
      : x_(x),
        weight_(weight),
        y_(y),
        adds_(adds),
        words_(words_of(x.scalar_type(), x.size(1))),
        depth_(in_words(words_, x.size(1))),
        panels_(quotient_up(x.size(0), kPanelColumns)),
        bias_(weight.bias.defined() ? weight.bias.to(at::kFloat).contiguous() : at::Tensor()),
        packed_(at::empty({panels_, depth_, kPanelColumns}, x.options().dtype(at::kFloat))),
        buffers_(at::empty({at::get_num_threads(), thread_scratch(panels_)}, packed_.options())) {}

  void run() {
    const std::int64_t rows = x_.size(0), in = x_.size(1), columns = y_.size(1);
    take_turns(panels_, [&](std::int64_t p, std::int64_t /*thread*/) {
      const std::int64_t row = p * kPanelColumns;
      pack_words(static_cast<const Element*>(x_.const_data_ptr()) + row * in,
                 {std::min(kPanelColumns, rows - row), in, in}, words_,
                 packed_.mutable_data_ptr<float>() + row * depth_);
    });
    const std::int64_t most = weight_.is_gated ? kOutputs / 2 : kOutputs;
    take_turns(quotient_up(columns, most), [&](std::int64_t i, std::int64_t thread) {
      const std::int64_t column = i * most;
      make({column, std::min(most, columns - column)},
           buffers_.mutable_data_ptr<float>() + thread * buffers_.size(1));
    });
  }

 private:
  struct Columns {  // of y
    std::int64_t first, count;
  };

  void make(const Columns& columns, float* sums) const {
    const std::int64_t outputs = columns.count * (weight_.is_gated ? 2 : 1);
    const std::int64_t stride = panels_ * kPanelColumns, rows = x_.size(0);
    float* const turned = sums + kOutputs * stride;
    multiply_outputs(columns, sums);
    for (std::int64_t n = 0; n < outputs; n += kPanelColumns)
      pack_panel(sums + n * stride, {std::min(kPanelColumns, outputs - n), rows, stride},
                 turned + n, kOutputs);
    std::array<float, kOutputs> bias{};
    for (std::int64_t n = 0; n < outputs && bias_.defined(); ++n)
      bias[static_cast<std::size_t>(n)] = bias_.const_data_ptr<float>()[row_of(columns, n)];
    for (std::int64_t m = 0; m < rows; ++m) {
      float* const row = turned + m * kOutputs;
      add_row(row, bias.data(), outputs, row);
      end(row, columns, m);
    }
  }

  // The weight's row that makes the n-th of the outputs: values, then gates.
  std::int64_t row_of(const Columns& columns, std::int64_t n) const {
    const std::int64_t row = columns.first + n;
    return n < columns.count ? row : row - columns.count + y_.size(1);
  }

  void multiply_outputs(const Columns& columns, float* sums) const {
    const std::int64_t outputs = columns.count * (weight_.is_gated ? 2 : 1);
    const auto* const matrix = static_cast<const float*>(weight_.matrix.data.const_data_ptr());
    std::array<const void*, kOutputs> places;
    for (std::int64_t begin = 0; begin < depth_; begin += kPanelSegment) {
      for (std::int64_t n = 0; n < outputs; ++n)
        places[static_cast<std::size_t>(n)] = matrix + row_of(columns, n) * depth_ + begin;
      multiply({.rows = places.data(),
                .count = outputs,
                .panel = packed_.const_data_ptr<float>() + begin * kPanelColumns,
                .panels = panels_,
                .distance = depth_ * kPanelColumns,
                .depth = std::min(kPanelSegment, depth_ - begin),
                .y = sums,
                .stride = panels_ * kPanelColumns,
                .adds = begin > 0},
               words_);
    }
  }

  void end(float* row, const Columns& columns, std::int64_t m) const {
    auto* const y = static_cast<Element*>(y_.mutable_data_ptr()) + m * y_.size(1) + columns.first;
    if (weight_.is_gated) return gate_row(row, columns.count, y);
    if (adds_) add_row(y, row, columns.count, row);
    narrow_row(row, columns.count, y);
  }

  const at::Tensor& x_;
  const PanelWeight& weight_;
  const at::Tensor& y_;
  bool adds_;
  Words words_;
  std::int64_t depth_, panels_;  // the first in words
  at::Tensor bias_;
  at::Tensor packed_;   // x: [panels, depth, 16]
  at::Tensor buffers_;  // of each thread
};

template <class Element>
void turn(const at::Tensor& x, const PanelWeight& weight, const at::Tensor& y, bool adds) {
  Turning<Element>(x, weight, y, adds).run();
}

}  // namespace

bool panels_turn(c10::ScalarType dtype, std::int64_t rows, std::int64_t in) {
  return rows <= kMostRows && !is_widened(dtype, in);
}

void multiply_turned(const at::Tensor& x, const PanelWeight& weight, const at::Tensor& y,
                     bool adds) {
  if (x.scalar_type() == at::kFloat)
    turn<float>(x, weight, y, adds);
  else
    turn<Bfloat16Bits>(x, weight, y, adds);
}

std::int64_t turned_scratch(c10::ScalarType dtype, std::int64_t rows, std::int64_t in,
                            std::int64_t threads) {
  const std::int64_t panels = quotient_up(rows, kPanelColumns);
  return panels * kPanelColumns * in_words(words_of(dtype, in), in) +
         threads * thread_scratch(panels);
}

}  // namespace emulsion::kernels

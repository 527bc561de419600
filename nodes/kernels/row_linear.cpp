#include "kernels/row_linear.h"

#include <ATen/record_function.h>

#include "kernels/rounding.h"
#include "kernels/take_turns.h"
#include "kernels/tensor_ops.h"
#include "kernels/vector_lanes.h"

namespace emulsion::kernels {
namespace {

constexpr std::int64_t kOutputs = 32;  // that a thread makes at a time

// One weight row times kFewRows rows of x [kFewRows, in].
template <class Element>
EMULSION_INLINED void multiply_row(const Element* weight, std::int64_t in, const float* x,
                                   float (&sums)[kFewRows]) {
  WideLanes even[kFewRows] = {}, odd[kFewRows] = {};
  const std::int64_t whole = in / (2 * kWideLanes) * (2 * kWideLanes);
  for (std::int64_t k = 0; k < whole; k += 2 * kWideLanes) {
    WideLanes first, second;
    widen_lanes(weight + k, first);
    widen_lanes(weight + k + kWideLanes, second);
    for (std::int64_t r = 0; r < kFewRows; ++r) {
      even[r] += first * wide_lanes_at(x + r * in + k);
      odd[r] += second * wide_lanes_at(x + r * in + k + kWideLanes);
    }
  }
  for (std::int64_t r = 0; r < kFewRows; ++r) {
    sums[r] = sum_of_lanes(even[r] + odd[r]);
    for (std::int64_t k = whole; k < in; ++k) sums[r] += widened(weight[k]) * x[r * in + k];
  }
}

// Where some outputs of all rows go.
struct Outputs {
  float* first;
  std::int64_t rows, count, stride;  // the last from one row to the next
};

template <class Element>
EMULSION_INLINED void multiply_rows(const Element* weight, std::int64_t in, const float* x,
                                    const Outputs& y) {
  for (std::int64_t n = 0; n < y.count; ++n) {
    float sums[kFewRows];
    multiply_row(weight + n * in, in, x, sums);
    for (std::int64_t r = 0; r < y.rows; ++r) y.first[r * y.stride + n] = sums[r];
  }
}

EMULSION_VECTOR_CLONES void multiply_outputs(const float* weight, std::int64_t in, const float* x,
                                             const Outputs& y) {
  multiply_rows(weight, in, x, y);
}
EMULSION_VECTOR_CLONES void multiply_outputs(const Bfloat16Bits* weight, std::int64_t in,
                                             const float* x, const Outputs& y) {
  multiply_rows(weight, in, x, y);
}

// x [kFewRows, in], weight [out, in] -> y [rows, out]
template <class Element>
void multiply(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& y) {
  const std::int64_t in = x.size(1), out = weight.size(0);
  take_turns(quotient_up(out, kOutputs), [&](std::int64_t i, std::int64_t /*thread*/) {
    const std::int64_t first = i * kOutputs;
    multiply_outputs(static_cast<const Element*>(weight.const_data_ptr()) + first * in, in,
                     x.const_data_ptr<float>(),
                     {.first = y.mutable_data_ptr<float>() + first,
                      .rows = y.size(0),
                      .count = std::min(kOutputs, out - first),
                      .stride = out});
  });
}

}  // namespace

bool rows_are_few(c10::ScalarType dtype, std::int64_t rows) {
  return rows <= kFewRows && (dtype == at::kFloat || dtype == at::kBFloat16);
}

at::Tensor row_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  RECORD_FUNCTION("row_linear", std::vector<c10::IValue>({x, weight}));
  const std::int64_t out = weight.size(0), rows = x.numel() / x.size(-1);
  const at::Tensor wide = at::zeros({kFewRows, x.size(-1)}, x.options().dtype(at::kFloat)),
                   y = at::empty({rows, out}, wide.options());
  wide.narrow(0, 0, rows).copy_(x.reshape({rows, -1}));
  if (x.scalar_type() == at::kFloat)
    multiply<float>(wide, weight.contiguous(), y);
  else
    multiply<Bfloat16Bits>(wide, weight.contiguous(), y);
  if (bias.defined()) y.add_(bias);
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = out;
  return y.to(x.scalar_type()).reshape(shape);
}

std::int64_t row_linear_scratch(std::int64_t in, std::int64_t out) { return kFewRows * (in + out); }

}  // namespace emulsion::kernels

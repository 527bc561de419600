#include "kernels/gated.h"

#include <ATen/record_function.h>

#include "kernels/amx_product.h"
#include "kernels/gate_row.h"
#include "kernels/linear.h"
#include "kernels/panel_linear.h"
#include "kernels/take_turns.h"
#include "kernels/tensor_ops.h"
#include "kernels/vector_lanes.h"

namespace emulsion::kernels {
namespace {

constexpr std::int64_t kRows = 16;  // that a thread takes at a time

template <class Element>
void gate_rows(const at::Tensor& from, const at::Tensor& to) {
  const std::int64_t width = to.size(-1), rows = to.numel() / width;
  const auto* const x = static_cast<const Element*>(from.const_data_ptr());
  auto* const y = static_cast<Element*>(to.mutable_data_ptr());
  take_turns((rows + kRows - 1) / kRows, [&](std::int64_t i, std::int64_t /*thread*/) {
    for (std::int64_t row = i * kRows; row < std::min((i + 1) * kRows, rows); ++row)
      gate_row(x + row * 2 * width, width, y + row * width);
  });
}

bool suits(const at::Tensor& y) {
  const bool is_known = y.scalar_type() == at::kFloat || y.scalar_type() == at::kBFloat16;
  return y.is_cpu() && is_known && y.size(-1) % (2 * kWideLanes) == 0;
}

}  // namespace

at::Tensor gated(const at::Tensor& y) {
  if (!suits(y)) {
    const std::vector<at::Tensor> halves = y.chunk(2, -1);  // views
    return at::gelu(halves[1]).mul_(halves[0]);
  }
  RECORD_FUNCTION("gated", std::vector<c10::IValue>({y}));
  std::vector<std::int64_t> shape = y.sizes().vec();
  shape.back() /= 2;
  at::Tensor result = at::empty(shape, y.options());
  if (y.scalar_type() == at::kFloat)
    gate_rows<float>(y.contiguous(), result);
  else
    gate_rows<Bfloat16Bits>(y.contiguous(), result);
  return result;
}

at::Tensor gated_linear(const at::Tensor& x, const Weight& weight, const at::Tensor& bias) {
  if (goes_by_amx(x, x.size(-1), weight.spec.shape[0] / 2))
    return amx_gated_linear(x, weight, bias);
  if (x.is_cpu() && panels_gate(x.scalar_type(), x.size(-1), weight.spec.shape[0] / 2))
    return panel_gated_linear(x, weight, bias);
  return gated(linear(x, weight, bias));
}

}  // namespace emulsion::kernels

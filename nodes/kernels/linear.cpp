#include "kernels/linear.h"

#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include "emulsion/processor.h"
#include "kernels/amx_product.h"
#include "kernels/panel_linear.h"
#include "kernels/panel_product.h"
#include "kernels/row_linear.h"
#include "kernels/tensor_ops.h"
#include "kernels/unpack.h"

namespace emulsion::kernels {
namespace {

// oneDNN's matrix product, which reaches 1.1 to 2 times what at::linear does on CPUs that the BLAS
// of LibTorch was not made for.  The operator has no C++ function.
using LinearPointwise = at::Tensor(const at::Tensor&, const at::Tensor&,
                                   const std::optional<at::Tensor>&, std::string_view,
                                   c10::List<std::optional<at::Scalar>>,
                                   std::optional<std::string_view>);

std::optional<c10::TypedOperatorHandle<LinearPointwise>> linear_pointwise() {
  const auto op = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
  if (!op || !op->hasKernelForDispatchKey(c10::DispatchKey::CPU)) return std::nullopt;
  return op->typed<LinearPointwise>();
}

bool goes_by_rows(const at::Tensor& x) {
  return x.is_cpu() && rows_are_few(x.scalar_type(), x.numel() / x.size(-1));
}

at::Tensor widened_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor wide_weight = widened(weight), wide_bias = widened(bias);
  const at::Tensor rows = x.reshape({-1, x.size(-1)});
  at::Tensor y = at::empty({rows.size(0), weight.size(0)}, x.options());
  for (std::int64_t begin = 0; begin < rows.size(0); begin += kWidenedRows) {
    const std::int64_t count = std::min(kWidenedRows, rows.size(0) - begin);
    y.narrow(0, begin, count)
        .copy_(linear(widened(rows.narrow(0, begin, count)), wide_weight, wide_bias));
  }
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = weight.size(0);
  return y.view(shape);
}

}  // namespace

at::Tensor widened(const at::Tensor& x) { return x.defined() ? x.to(at::kFloat) : x; }

bool widens(const at::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kBFloat16 && bfloat16_products() == Bfloat16::None;
}

bool goes_by_panels(const at::Tensor& x) { return x.is_cpu() && panels_hold(x.scalar_type()); }

bool widens_weights(const at::Tensor& x) { return widens(x) && !goes_by_panels(x); }

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (goes_by_rows(x)) return row_linear(x, weight, bias);
  if (goes_by_panels(x)) return panel_linear(x, plain_weight(weight), bias);
  if (goes_by_amx(x, weight.size(1), weight.size(0)))
    return amx_linear(x, plain_weight(weight), bias);
  if (widens(x)) return widened_linear(x, weight, bias);
  static const auto pointwise = linear_pointwise();
  const bool is_known = x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16;
  if (!pointwise || !x.is_cpu() || !is_known) return at::linear(x, weight, bias);
  const auto optional_bias = bias.defined() ? std::optional(bias) : std::nullopt;
  return pointwise->call(x, weight, optional_bias, "none", c10::List<std::optional<at::Scalar>>(),
                         "");
}

bool goes_by_amx(const at::Tensor& x, std::int64_t in, std::int64_t out) {
  return x.is_cpu() && amx_takes(x.scalar_type(), x.numel() / in, in, out);
}

namespace {

// x [n, in] -> into [n, out], tile by tile of the outputs
void multiply_unpacked(const at::Tensor& x, const Weight& weight, const at::Tensor& bias,
                       const at::Tensor& into) {
  const std::int64_t out = weight.spec.shape[0], step = unpacked_outputs(x.size(1), out);
  for (std::int64_t begin = 0; begin < out; begin += step) {
    const std::int64_t count = std::min(step, out - begin);
    const at::Tensor part = bias.defined() ? bias.narrow(0, begin, count) : bias;
    into.narrow(1, begin, count)
        .copy_(linear(x, unpacked_rows(weight, begin, count, x.scalar_type()), part));
  }
}

}  // namespace

std::int64_t unpacked_outputs(std::int64_t in, std::int64_t out) {
  return std::min(out, std::max<std::int64_t>(1, kUnpackedNumbers / in));
}

at::Tensor linear(const at::Tensor& x, const Weight& weight, const at::Tensor& bias) {
  if (weight.packing == Packing::None) return linear(x, weight.data, bias);
  const std::int64_t in = x.size(-1), out = weight.spec.shape[0];
  if (goes_by_amx(x, in, out)) return amx_linear(x, weight, bias);
  if (goes_by_panels(x)) return panel_linear(x, weight, bias);
  const bool wide = widens(x);
  if (!wide && unpacked_outputs(in, out) == out)
    return linear(x, unpacked_rows(weight, 0, out, x.scalar_type()), bias);
  const at::Tensor rows = x.reshape({-1, in}), wide_bias = wide ? widened(bias) : bias;
  const at::Tensor y = at::empty({rows.size(0), out}, x.options());
  const std::int64_t step = wide ? kWidenedRows : rows.size(0);
  for (std::int64_t begin = 0; begin < rows.size(0); begin += step) {
    const std::int64_t count = std::min(step, rows.size(0) - begin);
    const at::Tensor part = rows.narrow(0, begin, count);
    multiply_unpacked(wide ? widened(part) : part, weight, wide_bias, y.narrow(0, begin, count));
  }
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = out;
  return y.view(shape);
}

void add_linear_(at::Tensor& y, const at::Tensor& x, const Weight& weight, const at::Tensor& bias) {
  const bool adds = y.is_contiguous() && !(weight.packing == Packing::None && goes_by_rows(x));
  if (adds && goes_by_amx(x, x.size(-1), weight.spec.shape[0]))
    amx_add_linear_(y, x, weight, bias);
  else if (adds && goes_by_panels(x))
    panel_add_linear_(y, x, weight, bias);
  else
    y.add_(linear(x, weight, bias));
}

}  // namespace emulsion::kernels

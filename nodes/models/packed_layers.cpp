#include "models/packed_layers.h"

#include "kernels/amx_product.h"
#include "kernels/gated.h"
#include "kernels/unpack.h"
#include "models/ops.h"

namespace emulsion::models {
namespace {

using kernels::widened;

// x [n, in] -> into [n, out], tile by tile of the outputs
void multiply(const at::Tensor& x, const Weight& weight, const at::Tensor& bias,
              const at::Tensor& into) {
  const std::int64_t out = weight.spec.shape[0], step = unpacked_outputs(x.size(1), out);
  for (std::int64_t begin = 0; begin < out; begin += step) {
    const std::int64_t count = std::min(step, out - begin);
    const at::Tensor part = bias.defined() ? bias.narrow(0, begin, count) : bias;
    into.narrow(1, begin, count)
        .copy_(linear(x, kernels::unpacked_rows(weight, begin, count, x.scalar_type()), part));
  }
}

}  // namespace

std::int64_t unpacked_outputs(std::int64_t in, std::int64_t out) {
  return std::min(out, std::max<std::int64_t>(1, kUnpackedNumbers / in));
}

at::Tensor linear(const at::Tensor& x, const Weight& weight, const at::Tensor& bias) {
  if (weight.packing == Packing::None) return linear(x, weight.data, bias);
  const std::int64_t in = x.size(-1), out = weight.spec.shape[0];
  if (kernels::goes_by_amx(x, in, out)) return kernels::amx_linear(x, weight, bias);
  const bool wide = kernels::widens_weights(x);
  if (!wide && unpacked_outputs(in, out) == out)
    return linear(x, kernels::unpacked_rows(weight, 0, out, x.scalar_type()), bias);
  const at::Tensor rows = x.reshape({-1, in}), wide_bias = wide ? widened(bias) : bias;
  const at::Tensor y = at::empty({rows.size(0), out}, x.options());
  const std::int64_t step = wide ? kernels::kWidenedRows : rows.size(0);
  for (std::int64_t begin = 0; begin < rows.size(0); begin += step) {
    const std::int64_t count = std::min(step, rows.size(0) - begin);
    const at::Tensor part = rows.narrow(0, begin, count);
    multiply(wide ? widened(part) : part, weight, wide_bias, y.narrow(0, begin, count));
  }
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = out;
  return y.view(shape);
}

void add_linear_(at::Tensor& y, const at::Tensor& x, const Weight& weight, const at::Tensor& bias) {
  if (weight.packing == Packing::None)
    kernels::add_linear_(y, x, weight.data, bias);
  else if (kernels::goes_by_amx(x, x.size(-1), weight.spec.shape[0]) && y.is_contiguous())
    kernels::amx_add_linear_(y, x, weight, bias);
  else
    y.add_(linear(x, weight, bias));
}

at::Tensor gated_linear(const at::Tensor& x, const Weight& weight, const at::Tensor& bias) {
  if (weight.packing == Packing::None) return kernels::gated_linear(x, weight.data, bias);
  return kernels::goes_by_amx(x, x.size(-1), weight.spec.shape[0] / 2)
             ? kernels::amx_gated_linear(x, weight, bias)
             : kernels::gated(linear(x, weight, bias));
}

}  // namespace emulsion::models

#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

// Linear layers as products of panels, see panel_product.h.
namespace emulsion::kernels {

// x [..., in], weight [out, in], bias [out] or undefined -> [..., out], in the dtype of x
at::Tensor panel_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

// Added to y [..., out], contiguous.
void panel_add_linear_(at::Tensor& y, const at::Tensor& x, const at::Tensor& weight,
                       const at::Tensor& bias);

// Weight [2 D, in], values and then gates -> [..., D]; see gated.h.
at::Tensor panel_gated_linear(const at::Tensor& x, const at::Tensor& weight,
                              const at::Tensor& bias);
// Whether that is done on this processor.  [any thread]
bool panels_gate(c10::ScalarType dtype, std::int64_t in, std::int64_t D);

// Elements of float32 that each of these allocates besides the result, of so many rows.
std::int64_t panel_linear_scratch(c10::ScalarType dtype, std::int64_t rows, std::int64_t in,
                                  std::int64_t out, std::int64_t threads);

}  // namespace emulsion::kernels

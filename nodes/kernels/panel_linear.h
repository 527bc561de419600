#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "emulsion/weights.h"

// Linear layers as products of panels, see panel_product.h.
namespace emulsion::kernels {

// x [..., in], weight [out, in], which may be packed, bias [out] or undefined -> [..., out], in the
// dtype of x
at::Tensor panel_linear(const at::Tensor& x, const Weight& weight, const at::Tensor& bias);

// Added to y [..., out], contiguous.
void panel_add_linear_(at::Tensor& y, const at::Tensor& x, const Weight& weight,
                       const at::Tensor& bias);

// Weight [2 D, in], values and then gates -> [..., D]; see gated.h.
at::Tensor panel_gated_linear(const at::Tensor& x, const Weight& weight, const at::Tensor& bias);
// Whether that is done on this processor.  [any thread]
bool panels_gate(c10::ScalarType dtype, std::int64_t in, std::int64_t D);

// What is multiplied: so many rows, by so many threads, with a weight [out, in].
struct PanelLinearShape {
  std::int64_t rows, in, out;
  bool is_packed = false;
};

// Elements of float32 that each of these allocates besides the result.
std::int64_t panel_linear_scratch(c10::ScalarType dtype, const PanelLinearShape& shape,
                                  std::int64_t threads);

}  // namespace emulsion::kernels

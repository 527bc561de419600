#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "emulsion/weights.h"

namespace emulsion::kernels {

// True where products of x's numbers are done in float32, for want of kernels in its own type.
// Without panels (panel_product.h) they take copies of arguments and result in float32 for a
// moment; linear() so many rows at once.
bool widens(const at::Tensor& x);
inline constexpr std::int64_t kWidenedRows = 1024;

// Whether x is multiplied by panels, see panel_product.h.
bool goes_by_panels(const at::Tensor& x);

// Whether such products make copies of weights, too, so that packed ones are best unpacked so.
bool widens_weights(const at::Tensor& x);

// x in float32; what is undefined stays so.
at::Tensor widened(const at::Tensor& x);

// x [..., in], weight [out, in], bias [out] or undefined -> [..., out]
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

// Whether x [..., in] is multiplied in tile registers, which add to others on the way.  [any
// thread]
bool goes_by_amx(const at::Tensor& x, std::int64_t in, std::int64_t out);

// Numbers of a linear layer's weight that are unpacked at a time: in float32 they take 4 MiB, which
// stay in a core's caches until they are multiplied.
inline constexpr std::int64_t kUnpackedNumbers = 1 << 20;

// Outputs of a linear layer whose rows are unpacked at a time.
std::int64_t unpacked_outputs(std::int64_t in, std::int64_t out);

// The same with a weight that may be packed: tile registers and panels take it as it is, for others
// it is unpacked by so many outputs.
at::Tensor linear(const at::Tensor& x, const Weight& weight, const at::Tensor& bias);

// Adds that to y [..., out].
void add_linear_(at::Tensor& y, const at::Tensor& x, const Weight& weight, const at::Tensor& bias);

}  // namespace emulsion::kernels

#pragma once

#include "models/layers.h"

// Linear layers whose weights may be packed.  Products in tile registers take these as they are;
// before others they are unpacked for each use.  [any thread]
namespace emulsion::models {

// Numbers of a linear layer's weight that are unpacked at a time: in float32 they take 4 MiB, which
// stay in a core's caches until they are multiplied.
inline constexpr std::int64_t kUnpackedNumbers = 1 << 20;

// Outputs of a linear layer whose rows are unpacked at a time.
std::int64_t unpacked_outputs(std::int64_t in, std::int64_t out);

// x [..., in], weight [out, in] -> [..., out]
at::Tensor linear(const at::Tensor& x, const Weight& weight, const at::Tensor& bias);

// Adds that to y [..., out].
void add_linear_(at::Tensor& y, const at::Tensor& x, const Weight& weight, const at::Tensor& bias);

// x [..., in], weight [2 D, in] -> [..., D], see kernels/gated.h
at::Tensor gated_linear(const at::Tensor& x, const Weight& weight, const at::Tensor& bias);

}  // namespace emulsion::models

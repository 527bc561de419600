#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>

#include <vector>

#include "emulsion/weights.h"
#include "fakes/reference.h"

namespace emulsion::fakes {

inline constexpr Packing kPackings[] = {Packing::Int8, Packing::Q8_0, Packing::Q4_0,
                                        Packing::Q4_1, Packing::Q5_0, Packing::Q5_1};

// A weight whose packed numbers are all values that there are, about as large as a model's.
inline Weight random_packed(const std::vector<std::int64_t>& shape, Packing packing,
                            c10::ScalarType dtype) {
  const TensorSpec spec{shape, dtype};
  const std::int64_t rows = shape.front(), n = spec.count() / rows;
  if (packing == Packing::Int8) return {spec, packed_int8(at::randn({rows, n}).mul_(0.1)), packing};
  const bool has_minimum = packing == Packing::Q4_1 || packing == Packing::Q5_1;
  const std::int64_t blocks = rows * n / kPackedBlock, scales = has_minimum ? 2 : 1;
  const at::Tensor halves = at::randn({blocks, scales}).mul_(0.01).to(at::kHalf).view(at::kByte);
  const at::Tensor numbers =
      at::randint(0, 256, {blocks, block_bytes(packing) - 2 * scales}, at::dtype(at::kByte));
  return {spec, at::cat({halves, numbers}, 1).view({rows, -1}), packing};
}

// The same weight, unpacked.
inline Weight unpacked_weight(const Weight& weight) {
  const at::Tensor numbers = unpacked(weight.data, weight.packing);
  return {weight.spec, numbers.to(weight.spec.dtype).view(weight.spec.shape)};
}

// Distance of what packed weights give from `wanted`, in parts of its largest number, and what is
// allowed: products that widen unpacked weights do not round these to bfloat16.
inline double packed_error(const at::Tensor& y, const at::Tensor& wanted) {
  return distance(y, wanted) / wanted.abs().max().item<double>();
}
inline double packed_tolerance(c10::ScalarType dtype) { return dtype == at::kFloat ? 1e-5 : 0.01; }

}  // namespace emulsion::fakes

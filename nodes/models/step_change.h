#pragma once

#include <ATen/core/Tensor.h>

// How much a model's result changes from step to step, as EasyCache has it (Zhou et al. 2025,
// arXiv 2507.02860): about in proportion to the change of its input.  [any thread]
namespace emulsion::models {

// An evaluation of a model.
struct Evaluated {
  at::Tensor sample;  // [B, C, h, w], the input
  at::Tensor result;  // [B, C, h, w], float32
};

// The mean change of the result for one of the sample, between two evaluations: [B]
at::Tensor change_rate(const Evaluated& before, const Evaluated& now);

// The change of the result since `last` that the rate lets expect for `sample`, as a part of the
// result's mean magnitude: of the picture where it is the largest.  []
at::Tensor expected_change(const Evaluated& last, const at::Tensor& rate, const at::Tensor& sample);

}  // namespace emulsion::models

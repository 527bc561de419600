#pragma once

#include <cstdint>
#include <vector>

#include "models/layers.h"

namespace emulsion::models {

struct SinusoidShape {
  std::int64_t width = 0;
  bool flip_sin_to_cos = true;  // cosines first
  double freq_shift = 0;
};

// Sines and cosines of the time at frequencies from 1 down to 1/10000 (Vaswani et al. 2017,
// section 3.5), in float32 as diffusers has it.  [any thread]
std::vector<float> sinusoid(double timestep, const SinusoidShape& shape);

struct TimeEmbedding {
  SinusoidShape shape;
  Activation activation;
  Linear linear_1, linear_2;

  TimeEmbedding(const WeightView& w, const SinusoidShape& sinusoid_shape, std::int64_t out,
                Activation act);
  // [1, E], activated once more: every residual block begins with that
  at::Tensor operator()(double timestep) const;
};

}  // namespace emulsion::models

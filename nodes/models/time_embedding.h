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

// The same of several numbers each, on their device: values [B, n] -> [B, n * width] float32.
at::Tensor sinusoids(const at::Tensor& values, const SinusoidShape& shape);

struct TimeEmbedding {
  SinusoidShape shape;
  Activation activation;
  Linear linear_1, linear_2;

  TimeEmbedding(const WeightView& w, const SinusoidShape& sinusoid_shape, std::int64_t out,
                Activation act);
  at::Tensor operator()(double timestep) const;  // [1, E]
};

// What SDXL adds to the time (Podell et al. 2023, section 2.2): the prompt's pooled state, and
// sinusoids of sizes, crop or score.
struct AddedEmbedding {
  SinusoidShape shape;
  Linear linear_1, linear_2;

  // `width` of both together.
  AddedEmbedding(const WeightView& w, const SinusoidShape& sinusoid_shape, std::int64_t width,
                 std::int64_t out);
  // pooled [B, P], time_ids [B, n] -> [B, E]
  at::Tensor operator()(const at::Tensor& pooled, const at::Tensor& time_ids) const;
};

}  // namespace emulsion::models

#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "models/config_json.h"
#include "models/schedule.h"

namespace emulsion::models {

// When the second-order solver takes a first-order step at the end; diffusers' names.
struct SolverOptions {
  bool lower_order_final = true;  // with fewer than 15 steps
  bool euler_at_final = false;

  explicit SolverOptions(const ConfigJson& config)
      : lower_order_final(config.flag("lower_order_final", true)),
        euler_at_final(config.flag("euler_at_final", false)) {}
  SolverOptions() = default;
};

// Where one step of a schedule stands.
struct StepPlace {
  double from = 0, to = 0;  // sigmas
  double scale = 1;         // of the result, see plan_step
  double previous = 0;      // sigma of the step before; 0 on the first
  bool last = false;
  std::int64_t steps = 0;
};

// Takes step `index` out of a schedule.  `scale` turns what is at `to` into what the next step
// takes to be at its own sigma (differs from 1 only where DDIM's grid skips), and after the last
// step into the variance-preserving form, x0 + 0 n or not: what a VAE decodes. Throws GraphError
// when index is outside of the schedule.  [any thread]
StepPlace plan_step(const Schedule& schedule, std::int64_t index);

// One step from the latent [B, C, h, w] and the model's denoised sample of it, both float32.
// `previous_denoised` is that of the step before, undefined on the first step and read by dpmpp_2m
// alone.  Returns a new tensor.  [any thread]
at::Tensor sampler_step(Sampler sampler, const StepPlace& place, const SolverOptions& options,
                        const at::Tensor& latent, const at::Tensor& denoised,
                        const at::Tensor& previous_denoised);

// Whether the sampler reads the step before.
constexpr bool keeps_history(Sampler sampler) { return sampler == Sampler::Dpmpp2m; }

}  // namespace emulsion::models

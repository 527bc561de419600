#include "models/sampler.h"

#include <cmath>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "models/ops.h"

namespace emulsion::models {

namespace {

constexpr std::int64_t kFewSteps = 15;

// Euler's step along dx/dsigma = (x - D) / sigma.  DDIM with eta 0 and the solver's first order are
// the same step: x' = r x + (1 - r) D with r = to / from.
at::Tensor first_order(const StepPlace& place, const at::Tensor& latent,
                       const at::Tensor& denoised) {
  const double ratio = place.to / place.from;
  return latent.mul(ratio).add_(denoised, 1 - ratio);
}

bool takes_second_order(const StepPlace& place, const SolverOptions& options) {
  if (place.to == 0 || place.previous <= place.from) return false;
  const bool low_end =
      options.euler_at_final || (options.lower_order_final && place.steps < kFewSteps);
  return !(place.last && low_end);
}

// DPM-Solver++(2M), Lu et al. 2022, algorithm 2, with lambda = -log sigma:
// D' = D + (D - D_old) / 2q, q = h_old / h.
at::Tensor second_order(const StepPlace& place, const at::Tensor& latent,
                        const at::Tensor& denoised, const at::Tensor& previous_denoised) {
  const double h = std::log(place.from / place.to);
  const double h_old = std::log(place.previous / place.from);
  const double ahead = h / (2 * h_old);
  const double ratio = place.to / place.from;
  return latent.mul(ratio)
      .add_(denoised, (1 - ratio) * (1 + ahead))
      .add_(previous_denoised, -(1 - ratio) * ahead);
}

}  // namespace

StepPlace plan_step(const Schedule& schedule, std::int64_t index) {
  const auto steps = static_cast<std::int64_t>(schedule.timesteps.size());
  if (index < 0 || index >= steps)
    throw GraphError(str("step ", index, " is not in the schedule: expected 0 to ", steps - 1));
  const auto i = static_cast<std::size_t>(index);
  StepPlace place{.from = schedule.sigmas[i],
                  .to = schedule.targets.empty() ? schedule.sigmas[i + 1] : schedule.targets[i],
                  .last = index + 1 == steps,
                  .steps = steps};
  if (i > 0) place.previous = schedule.sigmas[i - 1];
  const double wanted = place.last ? 0 : schedule.sigmas[i + 1];
  if (wanted != place.to)
    place.scale = std::sqrt((1 + wanted * wanted) / (1 + place.to * place.to));
  return place;
}

at::Tensor sampler_step(Sampler sampler, const StepPlace& place, const SolverOptions& options,
                        const at::Tensor& latent, const at::Tensor& denoised,
                        const at::Tensor& previous_denoised) {
  const bool second =
      keeps_history(sampler) && previous_denoised.defined() && takes_second_order(place, options);
  at::Tensor next = second ? second_order(place, latent, denoised, previous_denoised)
                           : first_order(place, latent, denoised);
  return place.scale == 1 ? next : next.mul_(place.scale);
}

}  // namespace emulsion::models

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "emulsion/weights.h"
#include "models/config_json.h"

namespace emulsion::models {

// Sigmas are those of the variance-exploding form: x = x0 + sigma n, sigma^2 = (1 - abar) / abar.

enum class Sampler : std::uint8_t { Euler, Ddim, Dpmpp2m };

struct SamplerChoice {
  Sampler sampler = Sampler::Euler;
  std::string note;  // for the user, where the config's own sampler had to be replaced
};

// A scheduler_config.json, in which diffusers writes infinities as numbers that JSON lacks.
// Throws WeightError.  [any thread]
ConfigJson scheduler_config(const Component& component);

// "euler", "ddim", "dpmpp_2m", or "auto": the class of the config.  PNDM, whose own steps are
// DDIM's with an average of earlier results, becomes ddim; unknown classes become euler with a
// note.  Throws WeightError when the config asks of the sampler what it does not do. [any thread]
SamplerChoice choose_sampler(const ConfigJson& config, std::string_view name);

struct Schedule {
  std::vector<double> sigmas;     // n+1, falling; the last is what the last step ends at
  std::vector<double> timesteps;  // n: what the UNet is told; fractions where a sampler has them
  std::vector<double> targets;    // n: the sigma that each step goes to.  It is the next one, but
                                  // for DDIM, which goes to t - T / n whatever is listed next
  double initial_scale = 1;       // of unit noise
};

// What diffusers' scheduler of that sampler makes of the config.  `schedule` is "auto" (the
// config's timestep_spacing and use_karras_sigmas), "leading", "linspace", "trailing", or "karras"
// (rho 7, over the model's whole range).  Throws WeightError on a config that cannot be used,
// GraphError on steps that are not 1 to the number of training steps.  [any thread]
Schedule make_schedule(const ConfigJson& config, Sampler sampler, std::string_view schedule,
                       std::int64_t steps);

// Some steps of a schedule, one after another.
struct StepRange {
  std::int64_t first = 0, count = 0;
};

// The steps of one part of the denoising, `begin` and `end` from 0 to 1, where models share it: cut
// at the timesteps where diffusers cuts (denoising_start, denoising_end), so that every step is in
// one part.  Throws GraphError when there is none.  [any thread]
StepRange steps_between(const ConfigJson& config, const Schedule& schedule, double begin,
                        double end);

// Upper bound for the temporaries of make_schedule(), in bytes: the tables of the training steps
// are float32 tensors, of which zero terminal SNR has the most at once, seven.  [any thread]
Bytes schedule_workspace(const ConfigJson& config);

}  // namespace emulsion::models

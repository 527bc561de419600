#include "models/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "emulsion/errors.h"
#include "emulsion/python_json.h"
#include "emulsion/str.h"
#include "models/schedule_table.h"

namespace emulsion::models {

namespace {

void refuse_if(const ConfigJson& config, const std::string& key, const std::string& what_to_do) {
  if (config.flag(key, false)) config.refuse(key, str("expected false; ", what_to_do));
}

// Settings that change what a sampler computes, and are not computed here.
void refuse_unknown_modes(const ConfigJson& config, Sampler sampler) {
  if (sampler != Sampler::Euler)
    refuse_if(config, "thresholding", "latents are not confined to -1..1, set it so in the file");
  if (sampler == Sampler::Ddim)
    refuse_if(config, "clip_sample", "latents are not confined to -1..1, set it so in the file");
  for (const char* key : {"use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas",
                          "use_flow_sigmas", "use_dynamic_shifting"})
    if (sampler != Sampler::Ddim) refuse_if(config, key, "give a schedule, or sampler 'ddim'");
  if (sampler == Sampler::Euler && config.text("interpolation_type", "linear") != "linear")
    config.refuse("interpolation_type", "expected linear");
  if (sampler == Sampler::Euler && config.text("timestep_type", "discrete") != "discrete")
    config.refuse("timestep_type", "expected discrete");
}

struct Spacing {
  std::string kind;
  bool karras = false;
  bool whole_range = false;  // of karras: the model's, not that of the picked timesteps
};

Spacing choose_spacing(const ConfigJson& config, Sampler sampler, std::string_view schedule) {
  if (schedule == "karras") return {"linspace", true, true};
  Spacing spacing{std::string(schedule)};
  if (schedule == "auto") {
    // A missing key takes the default of the sampler's class in diffusers, not of the config's.
    spacing.kind =
        config.text("timestep_spacing", sampler == Sampler::Ddim ? "leading" : "linspace");
    spacing.karras = sampler != Sampler::Ddim && config.flag("use_karras_sigmas", false);
    spacing.whole_range = sampler == Sampler::Dpmpp2m;
    if (spacing.kind != "leading" && spacing.kind != "linspace" && spacing.kind != "trailing")
      config.refuse("timestep_spacing", "expected leading, linspace or trailing");
  }
  return spacing;
}

// The highest timestep plus one that the DPM solver starts from: lambda = -log(sigma) may have a
// lower bound, which cosine schedules need.
std::int64_t usable_steps(const ConfigJson& config, const NoiseTable& table) {
  const double bound =
      config.number("lambda_min_clipped", -std::numeric_limits<double>::infinity());
  std::int64_t usable = table.steps();
  while (usable > 2 && -std::log(table.sigma(static_cast<double>(usable - 1))) < bound) --usable;
  return usable;
}

// "Common Diffusion Noise Schedules and Sample Steps are Flawed" (Lin et al. 2023), table 2, with
// the roundings of each of diffusers' schedulers.  numpy rounds halves to even, as nearbyint does.
std::vector<double> spaced_timesteps(const ConfigJson& config, const NoiseTable& table,
                                     Sampler sampler, const std::string& kind, std::int64_t steps) {
  const bool solver = sampler == Sampler::Dpmpp2m;
  const std::int64_t usable = solver ? usable_steps(config, table) : table.steps();
  const std::int64_t points = solver ? steps + 1 : steps;  // the solver leaves the lowest out
  const auto n = static_cast<double>(steps);
  std::vector<double> timesteps;
  for (std::int64_t i = 0; i < steps; ++i) {
    const auto from_top = static_cast<double>(i);
    const std::int64_t from_bottom = points - 1 - i;
    double t = 0;
    if (kind == "leading") {
      const std::int64_t ratio = usable / points;
      t = static_cast<double>(from_bottom * ratio + config.whole("steps_offset", 0));
    } else if (kind == "linspace") {
      const double gaps = static_cast<double>(std::max<std::int64_t>(points - 1, 1));
      t = static_cast<double>(from_bottom) * (static_cast<double>(usable - 1) / gaps);
      if (sampler != Sampler::Euler) t = std::nearbyint(t);
    } else {
      t = std::nearbyint(static_cast<double>(usable) -
                         from_top * (static_cast<double>(table.steps()) / n)) -
          1;
    }
    timesteps.push_back(std::clamp(t, 0.0, static_cast<double>(table.steps() - 1)));
  }
  return timesteps;
}

// Karras et al. 2022, equation 5.
std::vector<double> karras_sigmas(double high, double low, std::int64_t steps) {
  constexpr double kRho = 7;
  std::vector<double> sigmas;
  for (std::int64_t i = 0; i < steps; ++i) {
    const double u = steps == 1 ? 0 : static_cast<double>(i) / static_cast<double>(steps - 1);
    const double top = std::pow(high, 1 / kRho), bottom = std::pow(low, 1 / kRho);
    sigmas.push_back(std::pow(top + u * (bottom - top), kRho));
  }
  return sigmas;
}

void use_karras(const ConfigJson& config, const NoiseTable& table, Sampler sampler,
                const Spacing& spacing, Schedule& schedule) {
  const double high = spacing.whole_range ? table.max_sigma() : schedule.sigmas.front();
  const double low = spacing.whole_range ? table.min_sigma() : schedule.sigmas.back();
  schedule.sigmas = karras_sigmas(config.number("sigma_max", high), config.number("sigma_min", low),
                                  static_cast<std::int64_t>(schedule.sigmas.size()));
  // diffusers' DPM solver tells the UNet whole timesteps, except on cosine schedules.
  const bool whole =
      sampler == Sampler::Dpmpp2m && config.text("beta_schedule", "linear") != "squaredcos_cap_v2";
  for (std::size_t i = 0; i < schedule.sigmas.size(); ++i) {
    const double t = table.timestep(schedule.sigmas[i]);
    schedule.timesteps[i] = whole ? std::nearbyint(t) : t;
  }
}

double final_sigma(const ConfigJson& config, const NoiseTable& table, Sampler sampler) {
  if (sampler == Sampler::Ddim)
    return config.flag("set_alpha_to_one", true) ? 0 : table.min_sigma();
  const std::string kind = config.text("final_sigmas_type", "zero");
  if (kind != "zero" && kind != "sigma_min")
    config.refuse("final_sigmas_type", "expected zero or sigma_min");
  return kind == "zero" ? 0 : table.min_sigma();
}

// Equation 12 of Song et al. 2021 as diffusers' DDIM takes it: from t to t - T / n, rounded down.
std::vector<double> ddim_targets(const NoiseTable& table, const std::vector<double>& timesteps,
                                 double last) {
  const std::int64_t whole = table.steps() / static_cast<std::int64_t>(timesteps.size());
  const auto stride = static_cast<double>(whole);
  std::vector<double> targets;
  for (const double t : timesteps) targets.push_back(t >= stride ? table.sigma(t - stride) : last);
  return targets;
}

}  // namespace

ConfigJson scheduler_config(const Component& component) {
  Component readable = component;
  readable.config = without_infinities(std::move(readable.config));
  return ConfigJson(readable);
}

SamplerChoice choose_sampler(const ConfigJson& config, std::string_view name) {
  SamplerChoice choice;
  const std::string own = config.text("_class_name", "");
  if (name == "ddim" || (name == "auto" && (own == "DDIMScheduler" || own == "PNDMScheduler"))) {
    choice.sampler = Sampler::Ddim;
  } else if (name == "dpmpp_2m" || (name == "auto" && own == "DPMSolverMultistepScheduler")) {
    choice.sampler = Sampler::Dpmpp2m;
  } else if (name == "auto" && own != "EulerDiscreteScheduler") {
    choice.note = str("the model's own sampler, '", own, "', is not one of euler, ddim and ",
                      "dpmpp_2m: taking euler; give a sampler to choose");
  }
  if (name == "auto" && choice.sampler == Sampler::Dpmpp2m) {
    if (config.text("algorithm_type", "dpmsolver++") != "dpmsolver++")
      config.refuse("algorithm_type", "expected dpmsolver++; give a sampler to choose");
    if (config.text("solver_type", "midpoint") != "midpoint")
      config.refuse("solver_type", "expected midpoint; give a sampler to choose");
    if (config.whole("solver_order", 2) != 2)
      config.refuse("solver_order", "expected 2; give a sampler to choose");
  }
  refuse_unknown_modes(config, choice.sampler);
  return choice;
}

Schedule make_schedule(const ConfigJson& config, Sampler sampler, std::string_view schedule,
                       std::int64_t steps) {
  const NoiseTable table(config, sampler);
  if (steps < 1 || steps > table.steps())
    throw GraphError(str("steps is ", steps, ": expected 1 to ", table.steps(),
                         ", as many as the model was trained with"));
  const Spacing spacing = choose_spacing(config, sampler, schedule);
  Schedule result;
  result.timesteps = spaced_timesteps(config, table, sampler, spacing.kind, steps);
  for (const double t : result.timesteps) result.sigmas.push_back(table.sigma(t));
  if (spacing.karras) use_karras(config, table, sampler, spacing, result);

  const bool ddim_grid = sampler == Sampler::Ddim && !spacing.karras;
  const double last =
      sampler == Sampler::Ddim && spacing.karras ? 0 : final_sigma(config, table, sampler);
  if (ddim_grid) {
    result.targets = ddim_targets(table, result.timesteps, last);
  } else {
    result.targets.assign(result.sigmas.begin() + 1, result.sigmas.end());
    result.targets.push_back(last);
  }
  result.sigmas.push_back(result.targets.back());
  const double first = result.sigmas.front();
  const bool unscaled = sampler == Sampler::Euler && spacing.kind != "leading";
  result.initial_scale = unscaled ? first : std::sqrt(first * first + 1);
  return result;
}

StepRange steps_between(const ConfigJson& config, const Schedule& schedule, double begin,
                        double end) {
  const auto whole = static_cast<double>(config.whole("num_train_timesteps", 1000));
  const auto steps_before = [&](double share) {
    const double cut = std::nearbyint(whole - share * whole);
    return std::ranges::count_if(schedule.timesteps, [&](double t) { return t >= cut; });
  };
  const StepRange range{steps_before(begin), steps_before(end) - steps_before(begin)};
  if (range.count < 1)
    throw GraphError(str("no step of ", schedule.timesteps.size(), " is between ", begin, " and ",
                         end, " of the schedule; take more steps, or a wider part"));
  return range;
}

Bytes schedule_workspace(const ConfigJson& config) {
  constexpr Bytes kTables = 8;
  return kTables * 4 * config.whole("num_train_timesteps", 1000);
}

}  // namespace emulsion::models

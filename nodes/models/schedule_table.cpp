#include "models/schedule_table.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion::models {
namespace {

constexpr std::int64_t kMostTrainingSteps = 100'000;

// All in float32, as in diffusers: the rounding of 1 - beta shows in the fifth digit of the first
// sigmas, and in fractional timesteps.  Not tensors, since plans, which need the sigmas, are to do
// without LibTorch.
using Floats = std::vector<float>;

// From both ends to the middle, as at::linspace does.
Floats evenly_spaced(double first, double last, std::int64_t count) {
  const auto begin = static_cast<float>(first), end = static_cast<float>(last);
  const float step = (end - begin) / static_cast<float>(count - 1);
  Floats values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(i < count / 2 ? begin + step * static_cast<float>(i)
                                   : end - step * static_cast<float>(count - 1 - i));
  return values;
}

// abar, the products of 1 - beta; as at::cumprod does, multiplied in float64.
Floats alpha_bars_of(const Floats& betas) {
  double product = 1;
  Floats bars;
  for (const float beta : betas) bars.push_back(static_cast<float>(product *= 1 - beta));
  return bars;
}

// Nichol and Dhariwal 2021, equation 17: abar(u) = cos^2((u + 0.008) / 1.008 pi / 2).
Floats cosine_betas(std::int64_t steps) {
  const auto alpha_bar = [steps](std::int64_t step) {
    const double u = static_cast<double>(step) / static_cast<double>(steps);
    const double c = std::cos((u + 0.008) / 1.008 * std::numbers::pi / 2);
    return c * c;
  };
  Floats betas;
  for (std::int64_t i = 0; i < steps; ++i)
    betas.push_back(static_cast<float>(std::min(1 - alpha_bar(i + 1) / alpha_bar(i), 0.999)));
  return betas;
}

Floats betas_of(const ConfigJson& config) {
  if (config.has("trained_betas")) {
    const std::vector<double> trained = config.numbers("trained_betas");
    return {trained.begin(), trained.end()};
  }
  const std::int64_t steps = config.whole("num_train_timesteps", 1000);
  if (steps < 2 || steps > kMostTrainingSteps)
    config.refuse("num_train_timesteps", str("expected 2 to ", kMostTrainingSteps));
  const std::string kind = config.text("beta_schedule", "linear");
  const double first = config.number("beta_start", 0.0001);
  const double last = config.number("beta_end", 0.02);
  if (kind == "squaredcos_cap_v2") return cosine_betas(steps);
  if (kind == "linear") return evenly_spaced(first, last, steps);
  if (kind != "scaled_linear")
    config.refuse("beta_schedule", "expected linear, scaled_linear or squaredcos_cap_v2");
  Floats betas = evenly_spaced(std::sqrt(first), std::sqrt(last), steps);
  for (float& beta : betas) beta *= beta;
  return betas;
}

void check_betas(const ConfigJson& config, const Floats& betas) {
  const bool trained = config.has("trained_betas");
  if (betas.size() < 2) config.refuse("trained_betas", "expected at least two");
  for (const float beta : betas)
    if (!(beta > 0 && beta < 1))
      config.refuse(trained ? "trained_betas" : "beta_end",
                    str("expected betas between 0 and 1, got ", beta));
}

// Lin et al. 2023, algorithm 1: sqrt(abar) is shifted to end at zero, and scaled to begin as
// before.
Floats betas_of_zero_snr(const Floats& betas) {
  Floats bars = alpha_bars_of(betas);
  const float first = std::sqrt(bars.front()), last = std::sqrt(bars.back());
  const float scale = first / (first - last);
  for (float& bar : bars) {
    const float root = (std::sqrt(bar) - last) * scale;
    bar = root * root;
  }
  Floats shifted{1 - bars.front()};
  for (std::size_t i = 1; i < bars.size(); ++i) shifted.push_back(1 - bars[i] / bars[i - 1]);
  return shifted;
}

}  // namespace

NoiseTable::NoiseTable(const ConfigJson& config, Sampler sampler) {
  Floats betas = betas_of(config);
  check_betas(config, betas);
  const bool zero_snr = config.flag("rescale_betas_zero_snr", false);
  if (zero_snr) betas = betas_of_zero_snr(betas);
  const Floats alpha_bars = alpha_bars_of(betas);
  for (std::size_t i = 0; i < alpha_bars.size(); ++i) {
    double alpha_bar = alpha_bars[i];
    // Sigma has to be finite.  diffusers' Euler and DPM solver take 2^-24; its DDIM takes zero, to
    // which 2^-48 is equal within the rounding of float32.
    if (zero_snr && i + 1 == alpha_bars.size())
      alpha_bar = std::ldexp(1.0, sampler == Sampler::Ddim ? -48 : -24);
    if (!(alpha_bar > 0))
      config.refuse("beta_end", "expected betas that leave some of the picture");
    sigmas_.push_back(std::sqrt((1 - alpha_bar) / alpha_bar));
  }
}

double NoiseTable::sigma(double timestep) const {
  const double last = static_cast<double>(sigmas_.size() - 1);
  const double place = std::clamp(timestep, 0.0, last);
  const auto low = static_cast<std::size_t>(std::min(std::floor(place), last - 1));
  const double share = place - static_cast<double>(low);
  return (1 - share) * sigmas_[low] + share * sigmas_[low + 1];
}

double NoiseTable::timestep(double sigma) const {
  const auto above = std::ranges::upper_bound(sigmas_, sigma);
  const auto last = static_cast<std::ptrdiff_t>(sigmas_.size()) - 2;
  const auto low = std::clamp<std::ptrdiff_t>(above - sigmas_.begin() - 1, 0, last);
  const auto i = static_cast<std::size_t>(low);
  const double share = std::log(sigma / sigmas_[i]) / std::log(sigmas_[i + 1] / sigmas_[i]);
  return static_cast<double>(low) + std::clamp(share, 0.0, 1.0);
}

}  // namespace emulsion::models

#include "models/schedule_table.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion::models {

namespace {

constexpr std::int64_t kMostTrainingSteps = 100'000;

// Nichol and Dhariwal 2021, equation 17: abar(u) = cos^2((u + 0.008) / 1.008 pi / 2).
std::vector<double> cosine_betas(std::size_t steps) {
  const auto alpha_bar = [steps](std::size_t step) {
    const double u = static_cast<double>(step) / static_cast<double>(steps);
    const double c = std::cos((u + 0.008) / 1.008 * std::numbers::pi / 2);
    return c * c;
  };
  std::vector<double> betas(steps);
  for (std::size_t i = 0; i < steps; ++i)
    betas[i] = std::min(1 - alpha_bar(i + 1) / alpha_bar(i), 0.999);
  return betas;
}

std::vector<double> betas_of(const ConfigJson& config) {
  if (config.has("trained_betas")) return config.numbers("trained_betas");
  const std::int64_t wanted = config.whole("num_train_timesteps", 1000);
  if (wanted < 2 || wanted > kMostTrainingSteps)
    config.refuse("num_train_timesteps", str("expected 2 to ", kMostTrainingSteps));
  const auto steps = static_cast<std::size_t>(wanted);
  const std::string kind = config.text("beta_schedule", "linear");
  if (kind == "squaredcos_cap_v2") return cosine_betas(steps);
  if (kind != "linear" && kind != "scaled_linear")
    config.refuse("beta_schedule", "expected linear, scaled_linear or squaredcos_cap_v2");
  const bool squared = kind == "scaled_linear";
  const auto root = [squared](double beta) { return squared ? std::sqrt(beta) : beta; };
  const double first = root(config.number("beta_start", 0.0001));
  const double last = root(config.number("beta_end", 0.02));
  std::vector<double> betas(steps);
  for (std::size_t i = 0; i < steps; ++i) {
    const double u = static_cast<double>(i) / static_cast<double>(steps - 1);
    const double value = first + u * (last - first);
    betas[i] = squared ? value * value : value;
  }
  return betas;
}

// Lin et al. 2023, algorithm 1: sqrt(abar) is shifted to end at zero, and scaled to begin as
// before.
void rescale_to_zero_snr(std::vector<double>& alpha_bars, Sampler sampler) {
  const double first = std::sqrt(alpha_bars.front()), last = std::sqrt(alpha_bars.back());
  for (double& alpha_bar : alpha_bars) {
    const double root = (std::sqrt(alpha_bar) - last) * first / (first - last);
    alpha_bar = root * root;
  }
  // Sigma has to be finite.  diffusers' Euler and DPM solver take 2^-24; its DDIM takes zero, to
  // which 2^-48 is equal within the rounding of float32.
  alpha_bars.back() = std::ldexp(1.0, sampler == Sampler::Ddim ? -48 : -24);
}

}  // namespace

NoiseTable::NoiseTable(const ConfigJson& config, Sampler sampler) {
  std::vector<double> alpha_bars;
  double product = 1;
  for (const double beta : betas_of(config)) {
    product *= 1 - beta;
    alpha_bars.push_back(product);
    if (!(beta > 0 && beta < 1 && product > 0))
      config.refuse(config.has("trained_betas") ? "trained_betas" : "beta_end",
                    str("expected betas between 0 and 1, got ", beta));
  }
  if (alpha_bars.size() < 2) config.refuse("trained_betas", "expected at least two");
  if (config.flag("rescale_betas_zero_snr", false)) rescale_to_zero_snr(alpha_bars, sampler);
  for (const double alpha_bar : alpha_bars)
    sigmas_.push_back(std::sqrt((1 - alpha_bar) / alpha_bar));
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

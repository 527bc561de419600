#include "models/schedule_table.h"

#include <ATen/ops/linspace.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "models/ops.h"

namespace emulsion::models {

namespace {

constexpr std::int64_t kMostTrainingSteps = 100'000;

at::Tensor tensor_of(const std::vector<double>& values) {
  at::Tensor tensor = at::empty({static_cast<std::int64_t>(values.size())}, at::kFloat);
  std::ranges::transform(values, tensor.data_ptr<float>(),
                         [](double value) { return static_cast<float>(value); });
  return tensor;
}

// Nichol and Dhariwal 2021, equation 17: abar(u) = cos^2((u + 0.008) / 1.008 pi / 2).
at::Tensor cosine_betas(std::int64_t steps) {
  const auto alpha_bar = [steps](std::int64_t step) {
    const double u = static_cast<double>(step) / static_cast<double>(steps);
    const double c = std::cos((u + 0.008) / 1.008 * std::numbers::pi / 2);
    return c * c;
  };
  std::vector<double> betas;
  for (std::int64_t i = 0; i < steps; ++i)
    betas.push_back(std::min(1 - alpha_bar(i + 1) / alpha_bar(i), 0.999));
  return tensor_of(betas);
}

// [T] float32, as in diffusers: the rounding of 1 - beta shows in the fifth digit of the first
// sigmas, and in fractional timesteps.
at::Tensor betas_of(const ConfigJson& config) {
  if (config.has("trained_betas")) return tensor_of(config.numbers("trained_betas"));
  const std::int64_t steps = config.whole("num_train_timesteps", 1000);
  if (steps < 2 || steps > kMostTrainingSteps)
    config.refuse("num_train_timesteps", str("expected 2 to ", kMostTrainingSteps));
  const std::string kind = config.text("beta_schedule", "linear");
  const double first = config.number("beta_start", 0.0001);
  const double last = config.number("beta_end", 0.02);
  if (kind == "squaredcos_cap_v2") return cosine_betas(steps);
  if (kind == "linear") return at::linspace(first, last, steps, at::kFloat);
  if (kind != "scaled_linear")
    config.refuse("beta_schedule", "expected linear, scaled_linear or squaredcos_cap_v2");
  return at::linspace(std::sqrt(first), std::sqrt(last), steps, at::kFloat).square();
}

void check_betas(const ConfigJson& config, const at::Tensor& betas) {
  const bool trained = config.has("trained_betas");
  if (betas.numel() < 2) config.refuse("trained_betas", "expected at least two");
  const float* values = betas.const_data_ptr<float>();
  for (std::int64_t i = 0; i < betas.numel(); ++i)
    if (!(values[i] > 0 && values[i] < 1))
      config.refuse(trained ? "trained_betas" : "beta_end",
                    str("expected betas between 0 and 1, got ", values[i]));
}

// Lin et al. 2023, algorithm 1: sqrt(abar) is shifted to end at zero, and scaled to begin as
// before.
at::Tensor betas_of_zero_snr(const at::Tensor& betas) {
  const at::Tensor roots = betas.neg().add(1).cumprod(0).sqrt();
  const at::Tensor first = roots.narrow(0, 0, 1), last = roots.narrow(0, -1, 1);
  const at::Tensor bars = roots.sub(last).mul(first.div(first.sub(last))).square();
  const std::int64_t rest = bars.numel() - 1;
  const at::Tensor ratios = bars.narrow(0, 1, rest).div(bars.narrow(0, 0, rest));
  return at::cat({bars.narrow(0, 0, 1), ratios}).neg().add(1);
}

}  // namespace

NoiseTable::NoiseTable(const ConfigJson& config, Sampler sampler) {
  at::Tensor betas = betas_of(config);
  check_betas(config, betas);
  const bool zero_snr = config.flag("rescale_betas_zero_snr", false);
  if (zero_snr) betas = betas_of_zero_snr(betas);
  const at::Tensor alpha_bars = betas.neg().add(1).cumprod(0);
  const float* values = alpha_bars.const_data_ptr<float>();
  for (std::int64_t i = 0; i < alpha_bars.numel(); ++i) {
    double alpha_bar = values[i];
    // Sigma has to be finite.  diffusers' Euler and DPM solver take 2^-24; its DDIM takes zero, to
    // which 2^-48 is equal within the rounding of float32.
    if (zero_snr && i + 1 == alpha_bars.numel())
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

#include "skipping.h"

#include <limits>

#include "models/ops.h"

namespace emulsion::skipping {
namespace {

at::Tensor unknown_rate(const at::Tensor& denoised) {
  return at::full({denoised.size(0)}, std::numeric_limits<double>::infinity(), denoised.options());
}

}  // namespace

BundleSpec state_spec(const TensorSpec& latent, c10::ScalarType dtype, std::int64_t total) {
  return {{"sample", {latent.shape, dtype}},
          {"denoised", {latent.shape, at::kFloat}},
          {"rate", {{latent.shape[0]}, at::kFloat}},
          {"skipped", {{total}, at::kFloat}}};
}

bool State::holds(const at::Tensor& sample, double threshold) const {
  const models::Evaluated last{bundle_.at("sample"), denoised()};
  return models::expected_change(last, bundle_.at("rate"), sample).item<double>() < threshold;
}

Bundle State::skipped(std::int64_t index) const {
  Bundle next = bundle_;
  at::Tensor& steps = next["skipped"];
  steps = steps.clone();
  steps[index].fill_(1);
  return next;
}

Bundle State::evaluated(const models::Evaluated& now, bool steady) const {
  const models::Evaluated before{bundle_.at("sample"), denoised()};
  return {{"sample", now.sample},
          {"denoised", now.result},
          {"rate", steady ? models::change_rate(before, now) : unknown_rate(now.result)},
          {"skipped", bundle_.at("skipped")}};
}

Bundle first_state(const models::Evaluated& now, std::int64_t total) {
  return {{"sample", now.sample},
          {"denoised", now.result},
          {"rate", unknown_rate(now.result)},
          {"skipped", at::zeros({total}, now.result.options())}};
}

std::vector<bool> skipped_steps(const Bundle& state) {
  const at::Tensor steps = state.at("skipped").cpu();
  const float* begin = steps.const_data_ptr<float>();
  return std::vector<bool>(begin, begin + steps.numel());
}

}  // namespace emulsion::skipping

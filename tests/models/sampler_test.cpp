#include "models/sampler.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include "check.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion::models {
namespace {

using nlohmann::json;

const json& reference() {
  static const json loaded = json::parse(std::ifstream("reference/schedules.json"));
  return loaded;
}

ConfigJson config_of(const std::string& text) {
  return scheduler_config({.place = "model/scheduler", .config = text, .files = {}});
}

at::Tensor tensor_of(const std::vector<double>& values) {
  at::Tensor tensor = at::empty({static_cast<std::int64_t>(values.size())}, at::kFloat);
  for (std::size_t i = 0; i < values.size(); ++i)
    tensor.data_ptr<float>()[i] = static_cast<float>(values[i]);
  return tensor;
}

std::vector<double> values_of(const at::Tensor& tensor) {
  const float* values = tensor.const_data_ptr<float>();
  return {values, values + tensor.numel()};
}

// The toy model of the reference: 0.5 x / sqrt(s^2 + 1) + 0.25 cos(0.005 t).
at::Tensor denoised_by_toy(const at::Tensor& x, double sigma, double timestep, bool predicts_v) {
  const double unit = std::sqrt(sigma * sigma + 1);
  const at::Tensor output = x.mul(0.5 / unit).add_(0.25 * std::cos(0.005 * timestep));
  return predicts_v ? x.div(unit * unit).sub_(output.mul(sigma / unit)) : x.sub(output.mul(sigma));
}

std::vector<double> run_toy(const ConfigJson& config, Sampler sampler, std::int64_t steps,
                            bool predicts_v) {
  const Schedule schedule = make_schedule(config, sampler, "auto", steps);
  at::Tensor x = tensor_of(reference()["toy"]["start"].get<std::vector<double>>());
  x.mul_(schedule.initial_scale);
  at::Tensor previous;
  for (std::int64_t i = 0; i < steps; ++i) {
    const StepPlace place = plan_step(schedule, i);
    const at::Tensor denoised =
        denoised_by_toy(x, place.from, schedule.timesteps[static_cast<std::size_t>(i)], predicts_v);
    x = sampler_step(sampler, place, SolverOptions(config), x, denoised, previous);
    previous = denoised;
  }
  return values_of(x);
}

}  // namespace

TEST_CASE("each sampler takes diffusers' steps on a toy model") {
  int compared = 0;
  for (const json& entry : reference()["samplers"]) {
    const ConfigJson config = config_of(entry["options"].dump());
    const Sampler sampler = choose_sampler(config, entry["sampler"].get<std::string>()).sampler;
    // From a sigma of 4096 on, float32 leaves diffusers four digits of the first step.
    const bool zero_snr = entry["options"].value("rescale_betas_zero_snr", false);
    const double tolerance = zero_snr ? 2e-4 : 2e-6;
    for (const json& wanted : entry["schedules"]) {
      for (const bool predicts_v : {false, true}) {
        const char* key = predicts_v ? "toy_v_prediction" : "toy_epsilon";
        if (!wanted.contains(key)) continue;
        INFO(entry["sampler"], " ", entry["options"].dump(), " ", wanted["steps"], " ", key);
        const auto got = run_toy(config, sampler, wanted["steps"], predicts_v);
        double largest = 0;
        for (const json& value : wanted[key])
          largest = std::max(largest, std::abs(value.get<double>()));
        for (std::size_t i = 0; i < got.size(); ++i)
          CHECK(std::abs(got[i] - wanted[key][i].get<double>()) < tolerance * largest);
        ++compared;
      }
    }
  }
  CHECK(compared > 200);
}

TEST_CASE("an Euler step moves along the line from sample to denoised") {
  const at::Tensor next = sampler_step(Sampler::Euler, {.from = 2, .to = 1}, SolverOptions(),
                                       tensor_of({3}), tensor_of({1}), at::Tensor());
  CHECK(values_of(next) == std::vector<double>{2});  // x + (x - d) / s * (s' - s)
}

TEST_CASE("the last step to sigma 0 gives the denoised sample") {
  for (const Sampler sampler : {Sampler::Euler, Sampler::Ddim, Sampler::Dpmpp2m}) {
    const at::Tensor next =
        sampler_step(sampler, {.from = 2, .to = 0, .previous = 4, .last = true, .steps = 20},
                     SolverOptions(), tensor_of({3}), tensor_of({0.7}), tensor_of({5}));
    CHECK(values_of(next)[0] == doctest::Approx(0.7));
  }
}

TEST_CASE("a last step that leaves noise ends in the variance-preserving form") {
  const Schedule schedule{.sigmas = {2, 1}, .timesteps = {500}, .targets = {1}};
  const StepPlace place = plan_step(schedule, 0);
  CHECK(place.last);
  CHECK(place.scale == doctest::Approx(std::sqrt(0.5)));
  const at::Tensor next = sampler_step(Sampler::Ddim, place, SolverOptions(), tensor_of({3}),
                                       tensor_of({1}), at::Tensor());
  CHECK(values_of(next)[0] == doctest::Approx(2 * std::sqrt(0.5)));
}

TEST_CASE("dpmpp_2m extrapolates from the step before, and not on its first step") {
  const StepPlace first{.from = 4, .to = 2, .steps = 20};
  const StepPlace second{.from = 4, .to = 2, .previous = 8, .steps = 20};
  const at::Tensor x = tensor_of({8}), d = tensor_of({1}), old = tensor_of({3});
  CHECK(values_of(sampler_step(Sampler::Dpmpp2m, first, {}, x, d, at::Tensor()))[0] ==
        doctest::Approx(4.5));  // 0.5 * 8 + 0.5 * 1
  CHECK(values_of(sampler_step(Sampler::Dpmpp2m, second, {}, x, d, old))[0] ==
        doctest::Approx(4.0));  // D' = 1 + (1 - 3) / 2 = 0
  CHECK(values_of(sampler_step(Sampler::Euler, second, {}, x, d, old))[0] == doctest::Approx(4.5));
}

TEST_CASE("dpmpp_2m ends with a first-order step as its config says") {
  StepPlace place{.from = 4, .to = 2, .previous = 8, .last = true, .steps = 14};
  const auto step = [&](const SolverOptions& options) {
    return values_of(sampler_step(Sampler::Dpmpp2m, place, options, tensor_of({8}), tensor_of({1}),
                                  tensor_of({3})))[0];
  };
  SolverOptions options;
  CHECK(step(options) == doctest::Approx(4.5));
  place.steps = 15;
  CHECK(step(options) == doctest::Approx(4.0));
  options.euler_at_final = true;
  CHECK(step(options) == doctest::Approx(4.5));
  options = SolverOptions(config_of(R"({"lower_order_final": false})"));
  place.steps = 2;
  CHECK(step(options) == doctest::Approx(4.0));
}

TEST_CASE("equal sigmas one after the other give numbers") {
  const StepPlace place{.from = 2, .to = 2, .previous = 2, .steps = 20};
  CHECK(values_of(sampler_step(Sampler::Dpmpp2m, place, {}, tensor_of({8}), tensor_of({1}),
                               tensor_of({3})))[0] == 8);
}

TEST_CASE("a step leaves its inputs as they are") {
  const at::Tensor x = tensor_of({8}), d = tensor_of({1}), old = tensor_of({3});
  sampler_step(Sampler::Dpmpp2m, {.from = 4, .to = 2, .previous = 8, .steps = 20}, {}, x, d, old);
  CHECK(values_of(x) == std::vector<double>{8});
  CHECK(values_of(d) == std::vector<double>{1});
  CHECK(values_of(old) == std::vector<double>{3});
}

TEST_CASE("a step outside of the schedule is refused") {
  const Schedule schedule{.sigmas = {2, 0}, .timesteps = {500}, .targets = {0}};
  CHECK_THROWS_WITH_AS(plan_step(schedule, 1), "step 1 is not in the schedule: expected 0 to 0",
                       GraphError);
}

}  // namespace emulsion::models

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include "check.h"

#include "emulsion/errors.h"
#include "fakes/run_node.h"

namespace emulsion {
namespace {

at::Tensor doubles(const std::vector<double>& values) {
  at::Tensor tensor = at::empty({static_cast<std::int64_t>(values.size())}, at::kDouble);
  std::copy(values.begin(), values.end(), tensor.data_ptr<double>());
  return tensor;
}

at::Tensor latent_of(double value) { return at::full({1, 4, 2, 2}, value, at::kFloat); }

fakes::NodeCase step(const std::string& sampler, std::int64_t index) {
  return {.id = "sampler_step",
          .params = {{"sampler", sampler}},
          .model = "reference/sd21_v_like",
          .parts = {{"config", "scheduler"}},
          .inputs = {{"latent", latent_of(8)},
                     {"denoised", latent_of(1)},
                     {"schedule", Bundle{{"sigmas", doubles({8, 4, 2, 0})},
                                         {"timesteps", doubles({900, 500, 100})}}},
                     {"index", index}}};
}

float first(const RunContext::Values& outputs) {
  return *std::get<at::Tensor>(outputs.at("latent")).const_data_ptr<float>();
}

}  // namespace

TEST_CASE("the index counts from the first step that the schedule names") {
  auto node = step("euler", 1);
  std::get<Bundle>(node.inputs.find("schedule")->second)["first"] = doubles({1});
  CHECK(first(fakes::run_node(node)) == doctest::Approx(1));
  node.inputs["index"] = std::int64_t{2};
  CHECK_THROWS_AS(fakes::run_node(node), GraphError);
}

TEST_CASE("a step is taken between the sigmas of its index") {
  CHECK(first(fakes::run_node(step("euler", 1))) == doctest::Approx(4.5));
  CHECK(first(fakes::run_node(step("euler", 2))) == doctest::Approx(1));
  CHECK(std::get<Bundle>(fakes::run_node(step("euler", 1)).at("history")).empty());
}

TEST_CASE("dpmpp_2m passes its denoised sample on, and uses the one before") {
  fakes::NodeCase node = step("dpmpp_2m", 1);
  const auto outputs = fakes::run_node(node);
  CHECK(first(outputs) == doctest::Approx(4.5));
  const Bundle history = std::get<Bundle>(outputs.at("history"));
  CHECK(*history.at("denoised").const_data_ptr<float>() == 1);
  CHECK(fakes::forecast_node(node).outputs.at("history") == spec_of(Value(history)));
  node.inputs["history"] = Bundle{{"denoised", latent_of(3)}};
  CHECK(first(fakes::run_node(node)) == doctest::Approx(4));
}

TEST_CASE("a DDIM step that goes beyond the next sigma is scaled to it") {
  fakes::NodeCase node = step("auto", 0);
  std::get<Bundle>(node.inputs["schedule"])["targets"] = doubles({2, 2, 0});
  const double at_target = 0.25 * 8 + 0.75 * 1;
  CHECK(first(fakes::run_node(node)) == doctest::Approx(at_target * std::sqrt(17.0 / 5)));
}

TEST_CASE("a schedule whose parts do not fit is refused") {
  fakes::NodeCase node = step("euler", 0);
  std::get<Bundle>(node.inputs["schedule"])["sigmas"] = doubles({8, 4});
  CHECK_THROWS_WITH_AS(fakes::run_node(node),
                       "input 'schedule': 2 sigmas, 3 timesteps and 0 targets: expected one sigma "
                       "more than timesteps, and as many targets",
                       GraphError);
}

TEST_CASE("latent and denoised sample of different shapes are refused before the run") {
  fakes::NodeCase node = step("euler", 0);
  node.inputs["denoised"] = at::full({1, 4, 2, 4}, 0.0, at::kFloat);
  CHECK_THROWS_WITH_AS(fakes::forecast_node(node),
                       "input 'denoised' is [1, 4, 2, 4]: expected [1, 4, 2, 2], as the latent",
                       GraphError);
}

}  // namespace emulsion

#include "check.h"

#include "emulsion/errors.h"
#include "fakes/run_node.h"

namespace emulsion {
namespace {

fakes::NodeCase schedule_of(std::int64_t steps) {
  return {.id = "scheduler",
          .params = {{"steps", steps}},
          .model = "reference/sd21_v_like",
          .parts = {{"config", "scheduler"}}};
}

std::vector<double> values(const Bundle& schedule, const std::string& name) {
  const at::Tensor& tensor = schedule.at(name);
  const double* data = tensor.const_data_ptr<double>();
  return {data, data + tensor.numel()};
}

}  // namespace

TEST_CASE("a schedule is the model's own, and as forecast") {
  const fakes::NodeCase node = schedule_of(4);
  const auto outputs = fakes::run_node(node);
  const Bundle schedule = std::get<Bundle>(outputs.at("schedule"));
  CHECK(values(schedule, "timesteps") == std::vector<double>{751, 501, 251, 1});
  CHECK(values(schedule, "sigmas")[0] == doctest::Approx(4.1167).epsilon(1e-3));
  CHECK(values(schedule, "sigmas")[4] == doctest::Approx(0.0291672).epsilon(1e-5));
  CHECK(values(schedule, "initial_scale")[0] ==
        doctest::Approx(std::sqrt(1 + std::pow(values(schedule, "sigmas")[0], 2))));
  CHECK(std::get<std::int64_t>(outputs.at("iterations")) == 4);
  const Forecast forecast = fakes::forecast_node(node);
  CHECK(forecast.outputs.at("schedule") == spec_of(outputs.at("schedule")));
  CHECK(to_text(forecast.outputs.at("iterations")) == "4");
}

TEST_CASE("sampler and schedule are chosen by parameters") {
  fakes::NodeCase node = schedule_of(2);
  node.params["sampler"] = std::string("euler");
  node.params["schedule"] = std::string("karras");
  const Bundle schedule = std::get<Bundle>(fakes::run_node(node).at("schedule"));
  CHECK(values(schedule, "sigmas")[0] == doctest::Approx(14.61464123));
  CHECK(values(schedule, "sigmas")[2] == 0);
  CHECK(values(schedule, "initial_scale")[0] == doctest::Approx(14.61464123));
}

TEST_CASE("more steps than the model was trained with are refused before the run") {
  CHECK_THROWS_WITH_AS(fakes::forecast_node(schedule_of(1001)),
                       "steps is 1001: expected 1 to 1000, as many as the model was trained with",
                       GraphError);
}

TEST_CASE("two models share a schedule, each with its own steps of it") {
  fakes::NodeCase node = schedule_of(10);
  const auto outputs = [&](double begin, double end) {
    node.params["begin"] = begin;
    node.params["end"] = end;
    return fakes::run_node(node);
  };
  const auto whole = outputs(0, 1), base = outputs(0, 0.73), refiner = outputs(0.73, 1);
  const auto steps = [](const auto& made) { return std::get<std::int64_t>(made.at("iterations")); };
  const auto first = [](const auto& made) {
    const Bundle& schedule = std::get<Bundle>(made.at("schedule"));
    return schedule.contains("first") ? values(schedule, "first")[0] : 0;
  };
  CHECK(steps(whole) == 10);
  CHECK(first(whole) == 0);
  CHECK(steps(base) == 7);  // timesteps 901 to 301: 270 and above
  CHECK(first(base) == 0);
  CHECK(steps(refiner) == 3);
  CHECK(first(refiner) == 7);
  CHECK(values(std::get<Bundle>(base.at("schedule")), "sigmas") ==
        values(std::get<Bundle>(whole.at("schedule")), "sigmas"));
  CHECK(to_text(fakes::forecast_node(node).outputs.at("iterations")) == "3");
  CHECK_THROWS_WITH_AS(outputs(0.5, 0.5),
                       "no step of 10 is between 0.5 and 0.5 of the schedule; take more steps, or "
                       "a wider part",
                       GraphError);
}

}  // namespace emulsion

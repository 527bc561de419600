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

}  // namespace emulsion

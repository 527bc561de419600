#include "emulsion/run_context.h"

#include <ATen/ops/full.h>

#include "check.h"
#include "emulsion/errors.h"
#include "emulsion/plugin.h"

using namespace emulsion;

namespace {

RunContext context(RunHooks hooks = {}) {
  return {{}, c10::Device(c10::DeviceType::CPU), {{"index", std::int64_t{3}}}, std::move(hooks)};
}

}  // namespace

TEST_CASE("a context gives its inputs by name and holding") {
  const RunContext run = context();
  CHECK(run.value<std::int64_t>("index") == 3);
  CHECK(run.has("index"));
  CHECK_FALSE(run.has("latent"));
  CHECK_THROWS_AS(run.tensor("latent"), std::logic_error);
  CHECK_THROWS_AS(run.value<double>("index"), std::logic_error);
}

TEST_CASE("an output must own its storage") {
  RunContext run = context();
  CHECK_THROWS_AS(run.output("x", at::full({4}, 1.0).narrow(0, 0, 2)), std::logic_error);
  run.output("x", at::full({4}, 1.0));
  CHECK(run.take_outputs().size() == 1);
}

TEST_CASE("a node learns of a cancel when it asks") {
  std::atomic<bool> cancelled{false};
  const RunContext run = context({&cancelled, {}});
  CHECK_NOTHROW(run.check_cancelled());
  cancelled = true;
  CHECK_THROWS_AS(run.check_cancelled(), Cancelled);
}

TEST_CASE("a scalar that only the run will tell cannot decide a shape") {
  const ForecastContext forecast({}, {{"count", {}}, {"known", std::int64_t{4}}});
  CHECK(forecast.value<std::int64_t>("known") == 4);
  CHECK_THROWS_AS(forecast.value<std::int64_t>("count"), PlanError);
}

TEST_CASE("what a describe function throws becomes text") {
  std::vector<NodeDescriptor> nodes;
  CHECK(describe_guarded([](std::vector<NodeDescriptor>&) {}, nodes) == nullptr);
  const char* fault = describe_guarded(
      [](std::vector<NodeDescriptor>&) { throw std::runtime_error("no table"); }, nodes);
  CHECK(std::string(fault) == "no table");
}

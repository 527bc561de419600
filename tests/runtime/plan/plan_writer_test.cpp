#include "plan/plan_writer.h"

#include "check.h"

#include "emulsion/errors.h"
#include "fakes/fake_pipeline.h"
#include "fakes/plan_walk.h"

using namespace emulsion;

namespace {

// Its arithmetic takes time on the host, so that accelerators are worth their copies.
NodeDescriptor working(NodeDescriptor node, Bytes workspace, double work) {
  const auto outputs = node.outputs;
  const auto forecast = [outputs, workspace, work](const ForecastContext& context) {
    Forecast told;
    for (const PortSpec& port : outputs)
      told.outputs[port.name] = fakes::mib(port.name == "image" ? 2 : 1);
    told.workspace = context.variant() == "lean" ? 0 : workspace;
    told.memo = told.workspace / 2;
    told.work.product = context.variant() == "lean" ? 1.5 * work : work;
    return told;
  };
  return fakes::with(std::move(node), forecast, [](RunContext&) {});
}

fakes::Pipeline busy() {
  return fakes::Pipeline(
      {working(fakes::encode_node(), kMiB, 1e9), working(fakes::unet_node(), 2 * kMiB, 1e10),
       working(fakes::step_node(), 0, 1e8), working(fakes::decode_node(), kMiB, 5e9)});
}

// Whose UNet has the variants that profiles ask for, each leaner and slower than the one before.
fakes::Pipeline guided() {
  NodeDescriptor unet = fakes::unet_node();
  unet.phase = Phase::Denoise;
  unet.variants = {"batched", "sequential", "one_by_one"};
  const auto forecast = [](const ForecastContext& context) {
    const bool is_batched = context.variant() == "batched";
    const bool keeps = context.variant() != "one_by_one";
    Forecast told{{{"denoised", fakes::mib(1)}}, is_batched ? 4 * kMiB : 2 * kMiB};
    told.memo = keeps ? kMiB : 0;
    told.work.product = is_batched ? 1e10 : keeps ? 1.1e10 : 1.2e10;
    return told;
  };
  return fakes::Pipeline({fakes::with(std::move(unet), forecast, [](RunContext&) {})});
}

struct Tally {
  int plans = 0, refusals = 0;
};

void plan_and_walk(const fakes::Pipeline& pipeline, const PlanRequest& request, Tally& tally) {
  const Forecasts forecasts = pipeline.forecasts();
  try {
    const ExecutionPlan plan = make_plan(pipeline.graph, forecasts, request);
    ++tally.plans;
    const fakes::PlanWalk walk(plan, pipeline.graph, forecasts);
    CHECK((walk.faults() == std::vector<std::string>{}));
    if (!walk.faults().empty()) {
      CAPTURE(walk.faults().front());
      CAPTURE(to_text(plan, pipeline.graph));
      FAIL("a plan does what it must not");
    }
  } catch (const PlanError&) {
    ++tally.refusals;
  }
}

}  // namespace

TEST_CASE("a plan for the cpu keeps every budget and finds all that it reads") {
  const fakes::Pipeline pipeline = busy();
  Tally tally;
  for (Bytes budget = 4; budget < 24; ++budget)
    plan_and_walk(pipeline, fakes::Pipeline::request({{.name = "cpu", .capacity = budget * kMiB}}),
                  tally);
  CHECK(tally.plans > 8);
  CHECK(tally.refusals > 2);
}

TEST_CASE("a plan for two accelerators keeps every budget and finds all that it reads") {
  const fakes::Pipeline pipeline = busy();
  Tally tally;
  for (const Bytes first : {3, 6, 8, 9, 10, 12, 16})
    for (const Bytes second : {3, 7, 9, 11})
      for (const Bytes host : {2, 4, 8, 12, 24})
        plan_and_walk(pipeline,
                      fakes::Pipeline::request(
                          {{.name = "sim:a", .capacity = first * kMiB, .simulated = true},
                           {.name = "sim:b", .capacity = second * kMiB, .simulated = true},
                           {.name = "cpu", .capacity = host * kMiB}}),
                      tally);
  CHECK(tally.plans > 60);
  CHECK(tally.refusals > 5);
}

TEST_CASE("a plan of every profile keeps every budget and finds all that it reads") {
  const fakes::Pipeline pipeline = busy();
  Tally tally;
  for (const Profile& profile : profiles())
    for (const Bytes accelerator : {8, 11, 40}) {
      PlanRequest request = fakes::Pipeline::request(
          {{.name = "sim:a", .capacity = accelerator * kMiB, .simulated = true},
           {.name = "cpu", .capacity = 24 * kMiB}});
      request.profile = &profile;
      plan_and_walk(pipeline, request, tally);
    }
  CHECK(tally.plans > 10);
}

TEST_CASE("a profile has its own variant of guidance, and a leaner one where there is no room") {
  const fakes::Pipeline pipeline = guided();
  for (const char* const name : {"cpu_only", "auto"}) {
    CAPTURE(name);
    PlanRequest request = fakes::Pipeline::request({{.name = "cpu", .capacity = 24 * kMiB}});
    request.profile = &find_profile(name);
    const auto text = [&] {
      return to_text(make_plan(pipeline.graph, pipeline.forecasts(), request), pipeline.graph);
    };
    CHECK(text().find("on cpu, batched") != std::string::npos);
    std::string leanest;
    while (request.devices[0].capacity > 0) {
      try {
        leanest = text();
      } catch (const PlanError&) {
        break;
      }
      request.devices[0].capacity -= kMiB / 2;
    }
    CHECK(leanest.find("on cpu, one_by_one") != std::string::npos);
  }
}

TEST_CASE("a profile for small accelerators never evaluates both conditions at once") {
  const fakes::Pipeline pipeline = guided();
  PlanRequest request =
      fakes::Pipeline::request({{.name = "sim:a", .capacity = 64 * kMiB, .simulated = true},
                                {.name = "cpu", .capacity = 64 * kMiB}});
  request.profile = &find_profile("gpu_poor");
  const ExecutionPlan plan = make_plan(pipeline.graph, pipeline.forecasts(), request);
  CHECK(to_text(plan, pipeline.graph).find("on sim:a, sequential") != std::string::npos);
}

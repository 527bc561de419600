#include "plan/execution_plan.h"

#include "check.h"

#include <nlohmann/json.hpp>

#include "emulsion/errors.h"
#include "fakes/fake_pipeline.h"

using namespace emulsion;

TEST_CASE("weights come just before their first use and go right after their last") {
  const fakes::Pipeline pipeline;
  CHECK(to_text(pipeline.plan(100 * kMiB), pipeline.graph) ==
        R"(fake, float32
cpu: peak 11.0 MiB of 100 MiB
load    sd.clip                   -> cpu                4.00 MiB
run     encode                    on cpu                peak 6.00 MiB, workspace 1.00 MiB
evict   sd.clip                   <- cpu
run     noise                     on cpu                peak 2.00 MiB, workspace 0 B
load    sd.unet                   -> cpu                5.00 MiB
bind    denoise.carry.latent      = noise.latent
free    noise.latent
loop    denoise                   x 3
  run     denoise.unet              on cpu, fast          peak 11.0 MiB, workspace 2.00 MiB
  free    denoise.carry.latent
  run     denoise.step              on cpu                peak 10.0 MiB, workspace 0 B
  free    denoise.carry.history
  free    denoise.unet.denoised
  bind    denoise.carry.latent      = denoise.step.latent
  bind    denoise.carry.history     = denoise.step.history
  free    denoise.step.latent
  free    denoise.step.history
bind    denoise.latent            = denoise.carry.latent
free    denoise.carry.latent
free    denoise.carry.history
free    encode.condition
evict   sd.unet                   <- cpu
load    sd.vae                    -> cpu                2.00 MiB
run     decode                    on cpu                peak 6.00 MiB, workspace 1.00 MiB
free    denoise.latent
evict   sd.vae                    <- cpu
)");
}

TEST_CASE("a variant that needs less memory is taken where the fastest does not fit") {
  const fakes::Pipeline pipeline;
  const ExecutionPlan plan = pipeline.plan(10 * kMiB);
  CHECK(plan.devices[0].peak <= 10 * kMiB);
  const std::string text = to_text(plan, pipeline.graph);
  CHECK(text.find("on cpu, lean") != std::string::npos);
  CHECK(text.find("on cpu, fast") == std::string::npos);
}

TEST_CASE("a budget that is too small is refused with the node and the smallest that would do") {
  const fakes::Pipeline pipeline;
  CHECK_THROWS_WITH_AS(
      pipeline.plan(8 * kMiB),
      "fake.json: node 'denoise.unet': does not fit on cpu: needs 9.00 MiB, the budget is 8.00 "
      "MiB; the smallest budget for this graph is --device cpu=9MiB, or take a "
      "smaller width, height or batch",
      PlanError);
}

TEST_CASE("the smallest budget that a refusal names is enough") {
  const fakes::Pipeline pipeline;
  for (Bytes budget = 1; budget < 9; ++budget)
    CHECK_THROWS_AS(pipeline.plan(budget * kMiB), PlanError);
  CHECK(pipeline.plan(9 * kMiB).devices[0].peak <= 9 * kMiB);
}

TEST_CASE("weights of a loop come and go in every iteration where they cannot stay") {
  const fakes::Pipeline pipeline;
  const std::string text = to_text(pipeline.plan(9 * kMiB), pipeline.graph);
  CHECK(text.find("  load    sd.unet                   -> cpu                5.00 MiB\n"
                  "  run     denoise.unet              on cpu, lean          peak 9.00 MiB, "
                  "workspace 0 B\n") != std::string::npos);
  CHECK(text.find("  evict   sd.unet                   <- cpu\n") != std::string::npos);
}

TEST_CASE("values move to the device that computes, and host values stay") {
  const fakes::Pipeline pipeline;
  const std::vector<DeviceBudget> devices{
      {.name = "sim:a", .capacity = 100 * kMiB, .simulated = true},
      {.name = "cpu", .capacity = 100 * kMiB}};
  const ExecutionPlan plan = make_plan(pipeline.graph, pipeline.forecasts(), devices);
  const std::string text = to_text(plan, pipeline.graph);
  CHECK(text.find("move    noise.latent              cpu -> sim:a          1.00 MiB\n") !=
        std::string::npos);
  CHECK(text.find("move    noise.iterations") == std::string::npos);
  CHECK(text.find("run     noise                     on cpu ") != std::string::npos);
  CHECK(text.find("run     encode                    on sim:a ") != std::string::npos);
}

TEST_CASE("the plan as JSON holds the same steps and bytes") {
  const fakes::Pipeline pipeline;
  const auto json = nlohmann::json::parse(to_json(pipeline.plan(100 * kMiB), pipeline.graph));
  CHECK(json["graph"] == "fake");
  CHECK(json["devices"][0]["planned_peak_bytes"] == 11 * kMiB);
  CHECK(json["steps"][0] ==
        nlohmann::json(
            {{"do", "load"}, {"weights", "sd.clip"}, {"device", "cpu"}, {"bytes", 4 * kMiB}}));
  const auto loop = json["steps"][7];
  CHECK(loop["do"] == "loop");
  CHECK(loop["iterations"] == 3);
  CHECK(loop["steps"][0]["workspace_bytes"] == 2 * kMiB);
}

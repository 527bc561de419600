#include "plan/execution_plan.h"

#include "check.h"

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "fakes/fake_pipeline.h"

using namespace emulsion;

namespace {

std::string text_within(Bytes budget) {
  const fakes::Pipeline pipeline;
  return to_text(pipeline.plan(budget), pipeline.graph);
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<DeviceBudget> beside_host(Bytes accelerator, Bytes host = kGiB) {
  return {{.name = "sim:a", .capacity = accelerator, .simulated = true},
          {.name = "cpu", .capacity = host}};
}

// Work that a slow device feels, and the UNet's weights in five blocks.
fakes::Pipeline heavy() {
  NodeDescriptor unet = fakes::unet_node();
  unet.phase = Phase::Denoise;
  const auto forecast = [](const ForecastContext& context) {
    for (int i = 0; i < 5; ++i) context.weights("unet").block().tensor(str("b", i), {kMiB / 4});
    Forecast told{{{"denoised", fakes::mib(1)}}, context.variant() == "fast" ? 2 * kMiB : Bytes{0}};
    told.work.product = context.variant() == "fast" ? 1e10 : 2e10;
    return told;
  };
  return fakes::Pipeline({fakes::with(unet, forecast, [](RunContext&) {})});
}

Forecasts heavy_forecasts(const fakes::Pipeline& pipeline) {
  std::vector<Slot> slots = pipeline.headers();
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (pipeline.graph.components[i].part != "unet") continue;
    auto set = std::make_shared<WeightSet>();
    set->header_only = true;
    for (int b = 0; b < 5; ++b) set->weights[str("b", b)].spec = fakes::mib(1);
    slots[i].weights = set;
  }
  return forecast(pipeline.graph, pipeline.nodes, slots, at::kFloat);
}

ExecutionPlan heavy_plan(const fakes::Pipeline& pipeline, const PlanRequest& request) {
  return make_plan(pipeline.graph, heavy_forecasts(pipeline), request);
}

std::string heavy_text(Bytes accelerator, Bytes host = kGiB) {
  const fakes::Pipeline pipeline = heavy();
  const auto request = fakes::Pipeline::request(beside_host(accelerator, host));
  return to_text(heavy_plan(pipeline, request), pipeline.graph);
}

}  // namespace

TEST_CASE("weights come just before their first use and go right after their last") {
  CHECK(text_within(100 * kMiB) == R"(fake, float32
cpu: peak 11.0 MiB of 100 MiB
load    sd.clip                   -> cpu                4.00 MiB
run     encode                    on cpu                peak 6.00 MiB, workspace 1.00 MiB
evict   sd.clip                   <- cpu
run     noise                     on cpu                peak 2.00 MiB, workspace 0 B
bind    denoise.carry.latent      = noise.latent
free    noise.latent
load    sd.unet                   -> cpu                5.00 MiB
loop    denoise                   x 3
  run     denoise.unet              on cpu, fast          peak 11.0 MiB, workspace 2.00 MiB
  run     denoise.step              on cpu                peak 11.0 MiB, workspace 0 B
  bind    denoise.carry.latent      = denoise.step.latent
  bind    denoise.carry.history     = denoise.step.history
  free    denoise.unet.denoised
  free    denoise.step.latent
  free    denoise.step.history
bind    denoise.latent            = denoise.carry.latent
free    denoise.carry.latent
free    denoise.carry.history
evict   sd.unet                   <- cpu
free    encode.condition
load    sd.vae                    -> cpu                2.00 MiB
run     decode                    on cpu                peak 6.00 MiB, workspace 1.00 MiB
evict   sd.vae                    <- cpu
free    denoise.latent
)");
}

TEST_CASE("a variant that needs less memory is taken where the fastest does not fit") {
  const std::string text = text_within(10 * kMiB);
  CHECK(has(text, "on cpu, lean"));
  CHECK_FALSE(has(text, "on cpu, fast"));
}

TEST_CASE("weights of a loop come and go in every iteration where they cannot stay") {
  const std::string text = text_within(9 * kMiB);
  CHECK(has(text, "  load    sd.unet                   -> cpu                5.00 MiB\n"));
  CHECK(has(text, "  evict   sd.unet                   <- cpu\n"));
}

TEST_CASE("a budget that is too small is refused with the node, the smallest and its time") {
  const fakes::Pipeline pipeline;
  try {
    pipeline.plan(8 * kMiB);
    FAIL("nothing was thrown");
  } catch (const PlanError& error) {
    const std::string line = error.what();
    CAPTURE(line);
    CHECK(
        line.starts_with("fake.json: node 'denoise.unet': does not fit on cpu: needs 9.00 MiB, "
                         "the budget is 8.00 MiB; the smallest budget for this graph is "
                         "--device cpu=9MiB ("));
    CHECK(has(line, " s predicted), or take a smaller width, height or batch"));
  }
}

TEST_CASE("every budget from the smallest on has a plan within it, and no smaller one has") {
  const fakes::Pipeline pipeline;
  for (Bytes budget = 1; budget < 9; ++budget)
    CHECK_THROWS_AS(pipeline.plan(budget * kMiB), PlanError);
  for (Bytes budget = 9; budget < 14; ++budget)
    CHECK(pipeline.plan(budget * kMiB).devices[0].peak <= budget * kMiB);
}

TEST_CASE("values are copied to the device that computes, and host values stay") {
  const std::string text = heavy_text(100 * kMiB);
  CHECK(has(text, "copy    noise.latent              cpu -> sim:a          1.00 MiB\n"));
  CHECK_FALSE(has(text, "copy    noise.iterations"));
  CHECK(has(text, "run     noise                     on cpu "));
  CHECK(has(text, "run     denoise.unet              on sim:a, fast"));
}

TEST_CASE("a last node on the host gets what an accelerator made before it runs") {
  NodeDescriptor decode = fakes::decode_node();
  decode.runs_on = Home::Host;
  fakes::Pipeline pipeline({decode});
  const auto forecasts = heavy_forecasts(heavy());
  PlanRequest request = fakes::Pipeline::request(beside_host(100 * kMiB));
  const ExecutionPlan plan = make_plan(pipeline.graph, forecasts, request);
  const std::string text = to_text(plan, pipeline.graph);
  const std::size_t copied = text.find("copy    denoise.latent            sim:a -> cpu");
  CHECK(copied < text.find("run     decode"));
}

TEST_CASE("weights that do not fit a device are streamed, and the time is told") {
  const fakes::Pipeline pipeline = heavy();
  const auto ample = heavy_plan(pipeline, fakes::Pipeline::request(beside_host(100 * kMiB)));
  const auto short_of = heavy_plan(pipeline, fakes::Pipeline::request(beside_host(8 * kMiB)));
  CHECK(short_of.devices[0].peak <= 8 * kMiB);
  CHECK(short_of.seconds >= ample.seconds);
  bool streams = false;
  for (const Step& step : short_of.steps)
    if (const auto* load = std::get_if<LoadWeights>(&step))
      streams = streams || (!load->streamed.empty() && load->held < 5 * kMiB);
  CHECK(streams);
}

TEST_CASE("blocks come from a copy in host memory where the host has room, else from the files") {
  CHECK(has(heavy_text(8 * kMiB), "cpu -> sim:a"));
  const fakes::Pipeline pipeline = heavy();
  const auto with_room = heavy_plan(pipeline, fakes::Pipeline::request(beside_host(8 * kMiB)));
  const auto without =
      heavy_plan(pipeline, fakes::Pipeline::request(beside_host(8 * kMiB, 4 * kMiB)));
  CHECK(with_room.devices[1].peak > without.devices[1].peak);
  CHECK(without.devices[1].peak <= 4 * kMiB);
}

TEST_CASE("a profile puts the phases where it says, and asks for its guidance") {
  const fakes::Pipeline pipeline = heavy();
  PlanRequest request = fakes::Pipeline::request(beside_host(100 * kMiB));
  request.profile = &find_profile("cpu_only");
  const ExecutionPlan plan = heavy_plan(pipeline, request);
  CHECK(has(to_text(plan, pipeline.graph), "run     denoise.unet              on cpu"));
  CHECK(plan.profile == "cpu_only");
}

TEST_CASE("a profile that needs an accelerator is refused where there is none") {
  const fakes::Pipeline pipeline = heavy();
  PlanRequest request = fakes::Pipeline::request({{.name = "cpu", .capacity = kGiB}});
  request.profile = &find_profile("full_gpu");
  CHECK_THROWS_WITH_AS(heavy_plan(pipeline, request),
                       "fake.json: node 'denoise.unet': --profile full_gpu wants an accelerator, "
                       "and the devices are the cpu alone; name one with --device, or take "
                       "--profile cpu_only",
                       PlanError);
}

TEST_CASE("an interrupted loop goes on with its carries") {
  const fakes::Pipeline pipeline;
  const Loop& loop = pipeline.graph.loops[0];
  PlanRequest request = fakes::Pipeline::request(beside_host(100 * kMiB));
  request.start.loop = LoopId{0};
  request.start.iteration = 2;
  request.start.values = {loop.carries[0].current, loop.carries[1].current,
                          pipeline.graph.nodes[0].outputs.at("condition"),
                          std::get<ValueId>(loop.count)};
  const ExecutionPlan plan = make_plan(pipeline.graph, pipeline.forecasts(), request);
  const std::string text = to_text(plan, pipeline.graph);
  CAPTURE(text);
  CHECK_FALSE(has(text, "run     encode"));
  CHECK_FALSE(has(text, "run     noise"));
  CHECK_FALSE(has(text, "= noise.latent"));
  for (const Step& step : plan.steps)
    if (const auto* run = std::get_if<RunLoop>(&step)) CHECK(run->first == 2);
}

TEST_CASE("weights of an earlier run are not loaded again, and leave where they are in the way") {
  const fakes::Pipeline pipeline;
  const auto request = [&](Bytes budget) {
    PlanRequest made = fakes::Pipeline::request({{.name = "cpu", .capacity = budget}});
    made.repeats = true;
    made.start.residents = {{ComponentId{0}, DeviceId{0}, 4 * kMiB, {}},
                            {ComponentId{1}, DeviceId{0}, 5 * kMiB, {}}};
    return made;
  };
  const auto text = [&](Bytes budget) {
    return to_text(make_plan(pipeline.graph, pipeline.forecasts(), request(budget)),
                   pipeline.graph);
  };
  CHECK_FALSE(has(text(100 * kMiB), "load    sd.unet"));
  CHECK_FALSE(has(text(100 * kMiB), "evict"));
  CHECK(has(text(10 * kMiB), "evict   sd.clip"));
}

TEST_CASE("a run that is not repeated leaves nothing behind") {
  const fakes::Pipeline pipeline;
  const ExecutionPlan plan = pipeline.plan(100 * kMiB);
  std::size_t loads = 0, evictions = 0;
  for (const Step& step : plan.steps) {
    loads += std::holds_alternative<LoadWeights>(step) ? 1 : 0;
    evictions += std::holds_alternative<EvictWeights>(step) ? 1 : 0;
  }
  CHECK(loads == 3);
  CHECK(evictions == loads);
}

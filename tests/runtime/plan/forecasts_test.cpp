#include "plan/forecasts.h"

#include "check.h"

#include "emulsion/errors.h"
#include "fakes/fake_pipeline.h"

using namespace emulsion;

TEST_CASE("a forecast knows every shape, the iterations, and each variant's workspace") {
  const fakes::Pipeline pipeline;
  const Forecasts forecasts = pipeline.forecasts();
  CHECK(forecasts.iterations[0] == 3);
  REQUIRE(forecasts.components.size() == 3);
  CHECK(forecasts.components[0].bytes == 4 * kMiB);
  CHECK(forecasts.components[1].bytes == 5 * kMiB);
  CHECK(forecasts.components[2].bytes == 2 * kMiB);
  CHECK((forecasts.components[0].use.lasting == std::vector<std::string>{"w"}));
  for (std::size_t v = 0; v < forecasts.values.size(); ++v) {
    const std::string& name = pipeline.graph.values[v].name;
    CAPTURE(name);
    if (name == "decode.image")
      CHECK(bytes_of(forecasts.values[v]) == 2 * kMiB);
    else if (pipeline.graph.values[v].type.holding == Holding::Tensor)
      CHECK(bytes_of(forecasts.values[v]) == kMiB);
  }
  for (std::size_t n = 0; n < pipeline.graph.nodes.size(); ++n)
    if (pipeline.graph.nodes[n].name == "denoise.unet") {
      CHECK(forecasts.variants[n][0].workspace == 2 * kMiB);
      CHECK(forecasts.variants[n][1].workspace == 0);
    }
}

TEST_CASE("what a forecast throws names its node and keeps its class") {
  const fakes::Pipeline pipeline({fakes::with(
      fakes::decode_node(),
      [](const ForecastContext&) -> Forecast { throw WeightError("no decoder"); },
      [](RunContext&) {})});
  CHECK_THROWS_WITH_AS(pipeline.forecasts(), "fake.json: node 'decode': no decoder", WeightError);
}

TEST_CASE("a loop whose carry grows is refused") {
  NodeDescriptor growing = fakes::with(
      fakes::step_node(),
      [](const ForecastContext&) {
        return Forecast{{{"latent", fakes::mib(2)}, {"history", fakes::mib(1)}}, 0};
      },
      [](RunContext&) {});
  const fakes::Pipeline pipeline({std::move(growing)});
  CHECK_THROWS_WITH_AS(
      pipeline.forecasts(),
      "fake.json: loop 'denoise': carry 'latent': each iteration must give what it "
      "got: expected [262144] float32, got [524288] float32",
      PlanError);
}

TEST_CASE("an output that a node does not forecast is its plug-in's fault") {
  const fakes::Pipeline pipeline({fakes::with(
      fakes::decode_node(), [](const ForecastContext&) { return Forecast{}; },
      [](RunContext&) {})});
  CHECK_THROWS_AS(pipeline.forecasts(), PluginError);
}

namespace {

// A decoder that takes 'w' as a block of its own.
NodeDescriptor decoder_with_block() {
  return fakes::with(
      fakes::decode_node(),
      [](const ForecastContext& context) {
        context.weights("vae").block().tensor("w", {2 * kMiB / 4});
        Forecast forecast{{{"image", fakes::mib(2)}}, kMiB};
        forecast.work.product = 1e6;
        forecast.passes = 2;
        return forecast;
      },
      [](RunContext&) {});
}

}  // namespace

TEST_CASE("a forecast keeps the blocks, the work and the passes that a node tells") {
  const fakes::Pipeline pipeline({decoder_with_block()});
  const Forecasts forecasts = pipeline.forecasts();
  const ComponentForecast& vae = forecasts.components[2];
  CHECK(vae.bytes == 2 * kMiB);
  CHECK((vae.blocks == std::vector<Bytes>{2 * kMiB}));
  CHECK((vae.use.blocks == std::vector<std::vector<std::string>>{{"w"}}));
  const VariantForecast& decode = forecasts.variants.back()[0];
  CHECK(decode.work.product == 1e6);
  CHECK(decode.passes == 2);
}

TEST_CASE("what a CPU takes besides counts where it computes, and nowhere else") {
  const VariantForecast variant{.variant = "whole", .workspace = 3, .cpu_workspace = 4};
  CHECK(variant.workspace_on(parse_device("cpu=1GiB")) == 7);
  CHECK(variant.workspace_on(parse_device("logical:a=1GiB")) == 7);
  CHECK(variant.workspace_on(parse_device("sim:a=1GiB")) == 3);
}

#include "exec/executor.h"

#include <ATen/ops/full.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "check.h"
#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "fakes/fake_model.h"

using namespace emulsion;

namespace {

fakes::FakeRun run(const fakes::Pipeline& pipeline, const fakes::Model& model,
                   Bytes budget = 100 * kMiB, const RunOptions& options = {}) {
  return fakes::run(pipeline, model,
                    fakes::Pipeline::request({{.name = "cpu", .capacity = budget}}), options);
}

}  // namespace

TEST_CASE("a loop carries values from iteration to iteration, and its last ones out") {
  CHECK(run(fakes::Pipeline(), fakes::Model()).pixel == fakes::expected_pixel());
}

TEST_CASE("every budget that can be planned gives the same picture") {
  const fakes::Pipeline pipeline;
  const fakes::Model model;
  for (const Bytes budget : {9, 10, 11, 14, 100})
    CHECK(run(pipeline, model, budget * kMiB).pixel == fakes::expected_pixel());
}

TEST_CASE("what was measured stays below what was planned, and below the budget") {
  for (const Bytes budget : {9, 11, 100}) {
    const RunReport report = run(fakes::Pipeline(), fakes::Model(), budget * kMiB).report;
    for (const RunReport::Step& step : report.steps) {
      CAPTURE(step.node);
      CHECK(step.measured_peak > 0);
      CHECK(step.measured_peak <= step.estimated_peak + kKiB);  // scalars
    }
    CHECK(report.devices[0].measured_peak <= budget * kMiB + kKiB);
  }
}

TEST_CASE("a node finds in an iteration what it kept before, as the plan has counted it") {
  std::vector<std::size_t> found;
  const fakes::Pipeline pipeline({fakes::keeping(fakes::unet_node(), found)});
  const fakes::Model model;
  for (const Bytes budget : {10, 100}) {
    found.clear();
    const fakes::FakeRun got = run(pipeline, model, budget * kMiB);
    CHECK(got.pixel == fakes::expected_pixel());
    CHECK(found == std::vector<std::size_t>{0, 1, 1});
    CHECK(got.left == 0);
    for (const RunReport::Step& step : got.report.steps) {
      CAPTURE(step.node);
      CHECK(step.measured_peak <= step.estimated_peak + kKiB);
    }
  }
}

TEST_CASE("what a node keeps is gone with the loop, and outside of one with the run") {
  const Bytes usual = run(fakes::Pipeline(), fakes::Model()).report.steps.back().measured_peak;
  for (const NodeDescriptor& node : {fakes::encode_node(), fakes::unet_node()}) {
    CAPTURE(node.id);
    std::vector<std::size_t> found;
    const fakes::Pipeline pipeline({fakes::keeping(node, found)});
    const RunReport::Step decode = run(pipeline, fakes::Model()).report.steps.back();
    CHECK_FALSE(found.empty());
    CHECK(decode.node == "decode");
    CHECK(decode.measured_peak == usual);
  }
}

TEST_CASE("the report names each node, load and eviction") {
  const RunReport report = run(fakes::Pipeline(), fakes::Model()).report;
  const auto json = nlohmann::json::parse(to_json(report));
  CHECK(json["graph"] == "fake");
  REQUIRE(json["steps"].size() == 5);
  CHECK(json["steps"][2]["node"] == "denoise.unet");
  CHECK(json["steps"][2]["iterations"] == 3);
  CHECK(json["steps"][2]["variant"] == "fast");
  REQUIRE(json["transfers"].size() == 3);
  CHECK(json["transfers"][1]["what"] == "sd.unet");
  CHECK(json["transfers"][1]["from"] == "disk");
  CHECK(json["transfers"][1]["bytes"] == 5 * kMiB);
  CHECK(json["evictions"] == nlohmann::json({"sd.clip", "sd.unet", "sd.vae"}));
  CHECK(json["versions"]["torch"].get<std::string>().starts_with("2."));
  CHECK(json["denoise_seconds_per_step"].get<double>() > 0);
}

TEST_CASE("the report shares a node's time among its operations, the longest first") {
  const RunReport report = run(fakes::Pipeline(), fakes::Model()).report;
  const auto steps = nlohmann::json::parse(to_json(report))["steps"];
  for (const auto& step : steps) {
    double shares = 0, before = 1;
    for (const auto& row : step["operators"]) {
      const double share = row["share"].get<double>();
      const bool is_sum = row["operator"].get<std::string>().starts_with("(");
      if (!is_sum) CHECK(share <= before);
      before = is_sum ? before : share;
      shares += share;
    }
    if (!step["operators"].empty()) CHECK(shares == doctest::Approx(1));
  }
  CHECK_FALSE(steps[2]["operators"].empty());
}

TEST_CASE("a run leaves no weights behind") {
  const fakes::Pipeline pipeline;
  const fakes::Model model;
  CHECK(run(pipeline, model).left == 0);
}

TEST_CASE("a cancelled run ends within an iteration") {
  std::atomic<bool> cancelled{false};
  std::int64_t finished = 0;
  RunOptions options;
  options.cancelled = &cancelled;
  options.progress = [&](const RunProgress& progress) {
    if (progress.node.empty()) finished = progress.iteration;
    if (progress.iteration == 1) cancelled = true;
  };
  CHECK_THROWS_AS(run(fakes::Pipeline(), fakes::Model(), 100 * kMiB, options), Cancelled);
  CHECK(finished == 1);
}

TEST_CASE("progress tells each node and the iterations of a loop") {
  std::vector<std::string> told;
  RunOptions options;
  options.progress = [&](const RunProgress& progress) {
    told.push_back(str(progress.node, " ", progress.iteration, "/", progress.iterations));
  };
  run(fakes::Pipeline(), fakes::Model(), 100 * kMiB, options);
  const std::vector<std::string> expected{"encode 0/0",       "noise 0/0", "denoise.unet 0/3",
                                          "denoise.step 0/3", " 1/3",      "denoise.unet 1/3",
                                          "denoise.step 1/3", " 2/3",      "denoise.unet 2/3",
                                          "denoise.step 2/3", " 3/3",      "decode 0/0"};
  CHECK((told == expected));
}

TEST_CASE("NaN weights are named instead of painted black") {
  const fakes::Model model;
  model.save("unet", {{"w", fakes::filled(5, std::numeric_limits<double>::quiet_NaN())}});
  try {
    run(fakes::Pipeline(), model);
    FAIL("nothing was thrown");
  } catch (const WeightError& error) {
    const std::string line = error.what();
    CAPTURE(line);
    CHECK(line.starts_with("fake.json: node 'denoise.unet': "));
    CHECK(line.find("tensor 'w' holds NaN") != std::string::npos);
    CHECK(line.find('\n') == std::string::npos);
  }
}

TEST_CASE("what a node throws comes out as one line that names the node") {
  const auto failing = [](fakes::FakeNode::RunFunction run) {
    return fakes::Pipeline({fakes::with(
        fakes::decode_node(),
        [](const ForecastContext&) {
          return Forecast{{{"image", fakes::mib(2)}}, kMiB};
        },
        std::move(run))});
  };
  const fakes::Model model;
  CHECK_THROWS_WITH_AS(run(failing([](RunContext&) { throw RunError("the disk is full"); }), model),
                       "fake.json: node 'decode': the disk is full", RunError);
  CHECK_THROWS_WITH_AS(
      run(failing([](RunContext& context) {
            context.tensor("latent").view({3, 5});
          }),
          model),
      "fake.json: node 'decode': shape '[3, 5]' is invalid for input of size 262144", RunError);
  CHECK_THROWS_AS(run(failing([](RunContext&) { throw std::bad_alloc(); }), model), OutOfMemory);
  CHECK_THROWS_WITH_AS(run(failing([](RunContext&) {}), model),
                       "fake.json: node 'decode': node type 'decode' gave no output 'image'",
                       RunError);
}

TEST_CASE("an output that is a view of something larger is refused") {
  const fakes::Pipeline pipeline({fakes::with(
      fakes::decode_node(),
      [](const ForecastContext&) {
        return Forecast{{{"image", fakes::mib(2)}}, kMiB};
      },
      [](RunContext& context) {
        context.output("image", fakes::filled(4, 1.0).narrow(0, 0, 8));
      })});
  CHECK_THROWS_AS(run(pipeline, fakes::Model()), RunError);
}

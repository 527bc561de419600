#include "exec/executor.h"

#include <ATen/ops/full.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "check.h"
#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "exec/memory_meter.h"
#include "fakes/fake_pipeline.h"
#include "weights/safetensors.h"

using namespace emulsion;
namespace fs = std::filesystem;

namespace {

// Parts of a model in a folder of its own, one weight each: clip 3, unet 2, vae 10.
class Model {
 public:
  Model() : folder_(fs::temp_directory_path() / str("emulsion_executor_", ++count)) {
    save("clip", fakes::filled(4, 3.0));
    save("unet", fakes::filled(5, 2.0));
    save("vae", fakes::filled(2, 10.0));
  }
  ~Model() { fs::remove_all(folder_); }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  void save(const std::string& part, const at::Tensor& weight) const {
    fs::create_directories(folder_ / part);
    save_safetensors(folder_ / part / "model.safetensors", {{"w", weight}});
    std::ofstream(folder_ / part / "config.json") << "{}";
  }

  std::vector<OpenComponent> open(const Graph& graph) const {
    std::vector<OpenComponent> components;
    for (const ComponentRef& ref : graph.components)
      components.push_back(open_component(folder_, ref.part));
    return components;
  }

 private:
  static inline int count = 0;
  fs::path folder_;
};

RunResult run(const fakes::Pipeline& pipeline, const Model& model, Bytes budget = 100 * kMiB,
              const RunOptions& options = {}) {
  install_memory_meter();
  return execute(pipeline.plan(budget), pipeline.graph, pipeline.nodes, model.open(pipeline.graph),
                 options);
}

double pixel(const RunResult& result) {
  return fakes::first(std::get<at::Tensor>(result.outputs.at("image")));
}

// The pipeline's arithmetic: latent' = (2 latent + 3 + i) + history, history' = 2 latent + 3 + i.
double expected_pixel() {
  double latent = 1, history = 0;
  for (int i = 0; i < 3; ++i) {
    const double denoised = 2 * latent + 3 + i;
    latent = denoised + history;
    history = denoised;
  }
  return 10 * latent;
}

}  // namespace

TEST_CASE("a loop carries values from iteration to iteration, and its last ones out") {
  CHECK(pixel(run(fakes::Pipeline(), Model())) == doctest::Approx(expected_pixel()));
}

TEST_CASE("every budget that can be planned gives the same picture") {
  const fakes::Pipeline pipeline;
  const Model model;
  for (const Bytes budget : {9, 10, 11, 14, 100})
    CHECK(pixel(run(pipeline, model, budget * kMiB)) == doctest::Approx(expected_pixel()));
}

TEST_CASE("what was measured stays below what was planned, and below the budget") {
  for (const Bytes budget : {9, 11, 100}) {
    const RunReport report = run(fakes::Pipeline(), Model(), budget * kMiB).report;
    for (const RunReport::Step& step : report.steps) {
      CAPTURE(step.node);
      CHECK(step.measured_peak > 0);
      CHECK(step.measured_peak <= step.estimated_peak + kKiB);  // scalars
    }
    CHECK(report.devices[0].measured_peak <= budget * kMiB + kKiB);
  }
}

TEST_CASE("the report names each node, load and eviction") {
  const RunReport report = run(fakes::Pipeline(), Model()).report;
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

TEST_CASE("a run leaves no weights behind") {
  const fakes::Pipeline pipeline;
  const Model model;
  run(pipeline, model);
  CHECK(mapped_bytes() == 0);
}

TEST_CASE("a cancelled run ends within an iteration and leaves no weights behind") {
  std::atomic<bool> cancelled{false};
  std::int64_t finished = 0;
  RunOptions options;
  options.cancelled = &cancelled;
  options.progress = [&](const RunProgress& progress) {
    if (progress.node.empty()) finished = progress.iteration;
    if (progress.iteration == 1) cancelled = true;
  };
  CHECK_THROWS_AS(run(fakes::Pipeline(), Model(), 100 * kMiB, options), Cancelled);
  CHECK(finished == 1);
  CHECK(mapped_bytes() == 0);
}

TEST_CASE("progress tells each node and the iterations of a loop") {
  std::vector<std::string> told;
  RunOptions options;
  options.progress = [&](const RunProgress& progress) {
    told.push_back(str(progress.node, " ", progress.iteration, "/", progress.iterations));
  };
  run(fakes::Pipeline(), Model(), 100 * kMiB, options);
  const std::vector<std::string> expected{"encode 0/0",       "noise 0/0", "denoise.unet 0/3",
                                          "denoise.step 0/3", " 1/3",      "denoise.unet 1/3",
                                          "denoise.step 1/3", " 2/3",      "denoise.unet 2/3",
                                          "denoise.step 2/3", " 3/3",      "decode 0/0"};
  CHECK((told == expected));
}

TEST_CASE("NaN weights are named instead of painted black") {
  const Model model;
  model.save("unet", fakes::filled(5, std::numeric_limits<double>::quiet_NaN()));
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
  const Model model;
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
  CHECK_THROWS_AS(run(pipeline, Model()), RunError);
}

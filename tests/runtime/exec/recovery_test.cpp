#include "exec/recovery.h"

#include <ATen/ops/full.h>

#include "check.h"
#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "fakes/fake_model.h"

using namespace emulsion;

namespace {

// Throws OutOfMemory before the step at this position, and again before each of those behind it.
class Failing {
 public:
  Failing(std::size_t at, std::size_t times) : at_(at), times_(times) {}

  RunOptions options() {
    RunOptions options;
    options.before_step = [this](const Step&) {
      if (step_++ >= at_ && thrown_ < times_) {
        ++thrown_;
        throw OutOfMemory("a test");
      }
    };
    options.warn = [this](const std::string& line) { warnings.push_back(line); };
    return options;
  }

  bool has_thrown() const { return thrown_ > 0; }

  std::vector<std::string> warnings;

 private:
  std::size_t at_, times_, step_ = 0, thrown_ = 0;
};

// Decodes with more memory than it says.
fakes::Pipeline greedy(Bytes more) {
  const auto forecast = [](const ForecastContext&) {
    return Forecast{{{"image", fakes::mib(2)}}, kMiB};
  };
  const auto run = [more](RunContext& context) {
    const at::Tensor temporary = fakes::filled(more / kMiB, 0.0);
    context.output("image", fakes::filled(2, fakes::first(context.tensor("latent")) *
                                                 fakes::weight(context, "vae")));
  };
  return fakes::Pipeline({fakes::with(fakes::decode_node(), forecast, run)});
}

}  // namespace

TEST_CASE("memory that runs out at any step changes nothing in the picture") {
  const fakes::Pipeline pipeline({fakes::block_unet_node()});
  const fakes::Model model(fakes::Model::Unet::Blocks);
  for (const auto& [logical, host] : {std::pair{20, 30}, {7, 12}, {3, 16}}) {
    const PlanRequest request = fakes::beside_host(logical * kMiB, host * kMiB);
    std::size_t at = 0;
    while (true) {
      CAPTURE(logical);
      CAPTURE(at);
      Failing failing(at++, 1);
      const fakes::FakeRun run = fakes::run(pipeline, model, request, failing.options());
      CHECK(run.pixel == fakes::expected_pixel());
      CHECK(run.left == 0);
      for (const RunReport::Device& device : run.report.devices) {
        CAPTURE(device.name);
        CHECK(device.measured_peak <= device.planned_peak);
        CHECK(device.planned_peak <= device.budget);
      }
      if (!failing.has_thrown()) break;
      CHECK(run.report.replans.size() == 1);
      CHECK(failing.warnings == run.report.replans);
    }
    CHECK(at > 30);
  }
}

TEST_CASE("what nodes keep between iterations is dropped where memory runs out, and made again") {
  std::vector<std::size_t> found;
  const fakes::Pipeline pipeline({fakes::keeping(fakes::unet_node(), found)});
  const fakes::Model model;
  RunOptions options;
  std::int64_t finished = 0;
  bool has_failed = false;
  options.progress = [&](const RunProgress& progress) { finished = progress.iteration; };
  options.before_step = [&](const Step&) {
    if (finished != 2 || std::exchange(has_failed, true)) return;
    throw OutOfMemory("a test");
  };
  const PlanRequest request = fakes::Pipeline::request({{.name = "cpu", .capacity = 100 * kMiB}});
  const fakes::FakeRun got = fakes::run(pipeline, model, request, options);
  CHECK(has_failed);
  CHECK(got.pixel == fakes::expected_pixel());
  CHECK(found == std::vector<std::size_t>{0, 1, 0});
  CHECK(got.left == 0);
}

TEST_CASE("no finished iteration is run again") {
  const fakes::Pipeline pipeline;
  const fakes::Model model;
  std::vector<std::int64_t> iterations;
  bool thrown = false;
  RunOptions options;
  options.progress = [&](const RunProgress& progress) {
    if (progress.node == "denoise.unet") iterations.push_back(progress.iteration);
  };
  options.before_step = [&](const Step& step) {
    if (std::holds_alternative<RunNode>(step) && iterations.size() == 2 && !thrown) {
      thrown = true;
      throw OutOfMemory("a test");
    }
  };
  const auto request = fakes::Pipeline::request({{.name = "cpu", .capacity = 100 * kMiB}});
  CHECK(fakes::run(pipeline, model, request, options).pixel == fakes::expected_pixel());
  CHECK((iterations == std::vector<std::int64_t>{0, 1, 1, 2}));
}

TEST_CASE("one line tells what ran out of memory, where, and within what the rest was planned") {
  const fakes::Pipeline pipeline;
  const fakes::Model model;
  int runs = 0;
  RunOptions options;
  std::vector<std::string> warnings;
  options.warn = [&](const std::string& line) { warnings.push_back(line); };
  options.before_step = [&](const Step& step) {
    const auto* run = std::get_if<RunNode>(&step);
    if (run != nullptr && run->variant == "fast" && ++runs == 3) throw OutOfMemory("a test");
  };
  fakes::run(pipeline, model, fakes::beside_host(20 * kMiB, 40 * kMiB), options);
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0] ==
        "fake.json: node 'denoise.unet': out of memory on cpu at iteration 3 of 3; planned again "
        "within 36.0 MiB");
}

TEST_CASE("a second failure without progress ends the run with one line") {
  const fakes::Pipeline pipeline;
  const fakes::Model model;
  const auto request = fakes::Pipeline::request({{.name = "cpu", .capacity = 100 * kMiB}});
  Failing failing(6, 2);
  CHECK_THROWS_WITH_AS(fakes::run(pipeline, model, request, failing.options()),
                       doctest::Contains("a leaner plan did not help"), OutOfMemory);
  CHECK(failing.warnings.size() == 1);
}

TEST_CASE("failures with progress in between are all overcome") {
  const fakes::Pipeline pipeline;
  const fakes::Model model;
  const auto request = fakes::Pipeline::request({{.name = "cpu", .capacity = 100 * kMiB}});
  int unets = 0;
  RunOptions options;
  options.before_step = [&](const Step& step) {
    const auto* run = std::get_if<RunNode>(&step);
    if (run != nullptr && run->variant != "default" && ++unets % 2 == 1)
      throw OutOfMemory("a test");
  };
  const fakes::FakeRun run = fakes::run(pipeline, model, request, options);
  CHECK(run.pixel == fakes::expected_pixel());
  CHECK(run.report.replans.size() == 3);
}

TEST_CASE("a node that takes more than it said is stopped by the budget") {
  const fakes::Pipeline pipeline = greedy(30 * kMiB);
  const fakes::Model model;
  const auto within = [&](Bytes budget) {
    return fakes::run(pipeline, model,
                      fakes::Pipeline::request({{.name = "cpu", .capacity = budget}}));
  };
  CHECK_THROWS_WITH_AS(within(12 * kMiB), doctest::Contains("fake.json: node 'decode': "),
                       OutOfMemory);
  CHECK(within(100 * kMiB).pixel == fakes::expected_pixel());
}

TEST_CASE("a node that takes more than it said runs where a leaner plan leaves room") {
  const auto forecast = [](const ForecastContext& context) {
    return Forecast{{{"denoised", fakes::mib(1)}},
                    context.variant() == "fast" ? 2 * kMiB : Bytes{0}};
  };
  const auto run = [](RunContext& context) {
    const at::Tensor temporary = context.variant() == "fast" ? fakes::filled(8, 0.0) : at::Tensor();
    fakes::unet_node().create(Params())->run(context);
  };
  const fakes::Pipeline pipeline({fakes::with(fakes::unet_node(), forecast, run)});
  const fakes::Model model;
  const fakes::FakeRun result = fakes::run(
      pipeline, model, fakes::Pipeline::request({{.name = "cpu", .capacity = 11 * kMiB}}));
  CHECK(result.pixel == fakes::expected_pixel());
  CHECK(result.report.replans.size() == 1);
  CHECK(result.report.devices[0].measured_peak <= 11 * kMiB);
}

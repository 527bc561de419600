#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/tensor.h>
#include "check.h"

#include "emulsion/errors.h"
#include "fakes/reference.h"
#include "fakes/run_node.h"

// What unet_step leaves out of a loop's evaluations.

namespace emulsion {
namespace {

constexpr std::int64_t kSteps = 10;

// A loop of ten steps with two pictures.
struct LoopCase {
  std::map<std::string, at::Tensor> reference = fakes::reference_tensors("sd15_like");

  Bundle condition(std::int64_t row) const {
    return {{"hidden", reference.at("unet.hidden").narrow(0, row, 1).contiguous()}};
  }

  fakes::NodeCase node(std::int64_t index,
                       const std::map<std::string, Param, std::less<>>& params) const {
    const at::Tensor sigmas = at::linspace(10, 0, kSteps + 1, c10::kDouble);
    const at::Tensor times = at::linspace(999, 99, kSteps, c10::kDouble);
    const at::Tensor latent = reference.at("unet.latent").narrow(0, 0, 2) * 3;
    fakes::NodeCase node{.id = "unet_step",
                         .params = params,
                         .model = fakes::reference_model("sd15_like"),
                         .parts = {{"unet", "unet"}, {"config", "scheduler"}},
                         .inputs = {{"latent", latent},
                                    {"schedule", Bundle{{"sigmas", sigmas}, {"timesteps", times}}},
                                    {"index", index},
                                    {"iterations", kSteps},
                                    {"positive", condition(0)},
                                    {"negative", condition(1)}}};
    node.params.try_emplace("guidance", 5.0);
    return node;
  }
};

// All steps at the noise of the first.
void stand_still(fakes::NodeCase& node) {
  auto& schedule = std::get<Bundle>(node.inputs.find("schedule")->second);
  schedule["sigmas"] = at::full({kSteps + 1}, 10.0, c10::kDouble);
  schedule["timesteps"] = at::full({kSteps}, 999.0, c10::kDouble);
}

at::Tensor denoised(const RunContext::Values& outputs) {
  return std::get<at::Tensor>(outputs.at("denoised"));
}

const Bundle& state(const RunContext::Values& outputs) {
  return std::get<Bundle>(outputs.at("state"));
}

const char* const kVariants[] = {"batched", "sequential", "one_by_one"};

TEST_CASE("outside of its interval guidance is not applied, within it is as before") {
  const LoopCase loop;
  for (const char* variant : kVariants) {
    CAPTURE(variant);
    const auto run = [&](std::int64_t index, const auto& params) {
      auto node = loop.node(index, params);
      node.variant = variant;
      return denoised(fakes::run_node(node));
    };
    using Params = std::map<std::string, Param, std::less<>>;
    const Params within = {{"guidance_begin", 0.3}, {"guidance_end", 0.8}};
    for (const std::int64_t index : {2, 3, 7, 8}) {
      CAPTURE(index);
      const bool guided = index == 3 || index == 7;
      const Params plain = {{"guidance", guided ? 5.0 : 1.0}};
      CHECK(run(index, within).equal(run(index, plain)));
    }
  }
}

TEST_CASE("the interval counts the steps of the whole schedule") {
  const LoopCase loop;
  auto node = loop.node(1, {{"guidance_end", 0.3}});
  CHECK_FALSE(denoised(fakes::run_node(node))
                  .equal(denoised(fakes::run_node(loop.node(1, {{"guidance", 1.0}})))));
  std::get<Bundle>(node.inputs.find("schedule")->second)["first"] = at::tensor({2.0}, c10::kDouble);
  node.inputs["iterations"] = std::int64_t{8};
  CHECK(denoised(fakes::run_node(node))
            .equal(denoised(fakes::run_node(loop.node(3, {{"guidance", 1.0}})))));
}

TEST_CASE("a forecast's work is the average of the steps, its memory the most of any") {
  const LoopCase loop;
  const auto forecast = [&](const auto& params, const char* variant = "") {
    auto node = loop.node(0, params);
    node.variant = variant;
    return fakes::forecast_node(node);
  };
  using Params = std::map<std::string, Param, std::less<>>;
  const Forecast both = forecast(Params{}), one = forecast(Params{{"guidance", 1.0}});
  const Params interval{{"guidance_begin", 0.3}, {"guidance_end", 0.9}};
  const Forecast mixed = forecast(interval);
  CHECK(mixed.workspace == both.workspace);
  CHECK(mixed.memo > both.memo);
  CHECK(both.memo > one.memo);
  CHECK(mixed.work.convolution ==
        doctest::Approx(0.6 * both.work.convolution + 0.4 * one.work.convolution));
  const auto product = [&](const Params& params) {  // of steps that know nothing of each other
    return forecast(params, "one_by_one").work.product;
  };
  CHECK(product(interval) ==
        doctest::Approx(0.6 * product({}) + 0.4 * product({{"guidance", 1.0}})));
  CHECK(mixed.work.product < product(interval));
  const Forecast cached = forecast(Params{{"cache_interval", std::int64_t{5}}});
  CHECK(cached.work.convolution < 0.5 * both.work.convolution);
  CHECK(cached.work.convolution > 0.2 * both.work.convolution);
  CHECK(cached.passes < 0.5);
  CHECK(cached.passes > 0.2);
  const Forecast merged = forecast(Params{{"merge_ratio", 0.5}});
  CHECK(merged.work.attention < both.work.attention);
}

TEST_CASE("parameters that are at odds are refused before anything is loaded") {
  const LoopCase loop;
  CHECK_THROWS_WITH_AS(
      fakes::make_node(loop.node(0, {{"guidance_begin", 0.8}, {"guidance_end", 0.2}})),
      "parameter 'guidance_begin': expected less than 'guidance_end', 0.2, got 0.8; to leave "
      "guidance out altogether, set 'guidance' to 1",
      GraphError);
  CHECK_THROWS_WITH_AS(
      fakes::make_node(
          loop.node(0, {{"cache_interval", std::int64_t{3}}, {"skip_threshold", 0.1}})),
      "parameters 'cache_interval' and 'skip_threshold': expected one of them, got 3 and 0.1; set "
      "the first to 1, or the second to 0",
      GraphError);
}

TEST_CASE("features of the same latent give what a whole evaluation gives, in every variant") {
  const LoopCase loop;
  for (const char* variant : kVariants) {
    CAPTURE(variant);
    auto node = loop.node(0, {{"cache_interval", std::int64_t{2}}});
    node.variant = variant;
    const RunContext::Values whole = fakes::run_node(node);
    node.inputs["index"] = std::int64_t{1};
    stand_still(node);
    node.inputs["state"] = state(whole);
    CHECK(fakes::distance(denoised(fakes::run_node(node)), denoised(whole)) < 1e-4);
    CHECK(to_text(fakes::forecast_node(node).outputs.at("state")) ==
          to_text(spec_of(Value(state(whole)))));
  }
}

TEST_CASE("a step that reuses needs what the step before gave") {
  const LoopCase loop;
  for (const auto& [name, value] :
       {std::pair<const char*, Param>("cache_interval", std::int64_t{3}), {"skip_threshold", 0.1}})
    CHECK_THROWS_WITH_AS(fakes::run_node(loop.node(2, {{name, value}})),
                         "input 'state': expected what the step before gave, got none; carry the "
                         "output 'state' from one iteration to the next",
                         GraphError);
}

TEST_CASE("all but the first two steps and the last may be skipped, and give what was before") {
  const LoopCase loop;
  RunContext::Values before;
  for (std::int64_t index = 0; index < kSteps; ++index) {
    CAPTURE(index);
    auto node = loop.node(index, {{"skip_threshold", 1.0}});
    stand_still(node);
    const double move = 1e-3 * static_cast<double>(index);
    node.inputs["latent"] = std::get<at::Tensor>(node.inputs.at("latent")) + move;
    if (index > 0) node.inputs["state"] = state(before);
    const Forecast forecast = fakes::forecast_node(node);
    const Bytes peak = fakes::peak_of_run(node);
    CHECK(peak <= fakes::forecast_peak(forecast));
    const RunContext::Values now = fakes::run_node(node);
    CHECK(to_text(forecast.outputs.at("state")) == to_text(spec_of(Value(state(now)))));
    const bool skipped = index >= 2 && index + 1 < kSteps;
    if (index > 0) CHECK(denoised(now).equal(denoised(before)) == skipped);
    CHECK(state(now).at("skipped")[index].item<double>() == (skipped ? 1 : 0));
    before = now;
  }
}

TEST_CASE("no step with shortcuts holds more than its forecast") {
  const LoopCase loop;
  using Params = std::map<std::string, Param, std::less<>>;
  const std::vector<Params> shortcuts = {
      {{"cache_interval", std::int64_t{2}}},
      {{"cache_interval", std::int64_t{3}}, {"cache_branch", std::int64_t{4}}},
      {{"guidance_begin", 0.2}, {"merge_ratio", 0.6}},
  };
  for (const Params& params : shortcuts)
    for (const char* variant : kVariants)
      for (const c10::ScalarType dtype : {c10::kFloat, c10::kBFloat16}) {
        CAPTURE(variant);
        RunContext::Values before;
        for (std::int64_t index = 0; index < 3; ++index) {
          CAPTURE(index);
          auto node = loop.node(index, params);
          node.variant = variant;
          node.dtype = dtype;
          if (index > 0) node.inputs["state"] = state(before);
          CHECK(fakes::peak_of_run(node) <= fakes::forecast_peak(fakes::forecast_node(node)));
          before = fakes::run_node(node);
        }
      }
}

}  // namespace
}  // namespace emulsion

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include "check.h"

#include <cmath>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "fakes/reference.h"
#include "fakes/run_node.h"

namespace emulsion {
namespace {

constexpr double kSigma = 2.5;

Bundle condition(const at::Tensor& hidden) { return {{"hidden", hidden.contiguous()}}; }

// A step on the first sample of the model's reference, whose latent is what the model sees.
struct StepCase {
  std::string model;
  std::map<std::string, at::Tensor> reference = fakes::reference_tensors(model);
  at::Tensor latent = reference.at("unet.latent").narrow(0, 0, 1) * std::sqrt(kSigma * kSigma + 1);
  at::Tensor hidden = reference.at("unet.hidden").narrow(0, 0, 1);  // [1, 77, D]
  at::Tensor other = reference.at("unet.hidden").narrow(0, 1, 1);

  fakes::NodeCase node(double guidance, const at::Tensor& positive,
                       const at::Tensor& negative) const {
    const double time = reference.at("unet.timesteps")[0].item<double>();
    const Bundle schedule = {{"sigmas", at::tensor({9.0, kSigma, 0.0}, c10::kDouble)},
                             {"timesteps", at::tensor({999.0, time}, c10::kDouble)}};
    return {.id = "unet_step",
            .params = {{"guidance", guidance}},
            .model = fakes::reference_model(model),
            .parts = {{"unet", "unet"}, {"config", "scheduler"}},
            .inputs = {{"latent", latent},
                       {"schedule", schedule},
                       {"index", std::int64_t{1}},
                       {"positive", condition(positive)},
                       {"negative", condition(negative)}}};
  }
};

at::Tensor denoised(const fakes::NodeCase& node) {
  return std::get<at::Tensor>(fakes::run_node(node).at("denoised"));
}

// What guidance makes of two samples: both are affine in the prediction.
at::Tensor guided(const at::Tensor& without, const at::Tensor& with, double guidance) {
  return without + (with - without) * guidance;
}

TEST_CASE("the sample without noise follows from the noise that the model predicts") {
  const StepCase step{"sd15_like"};
  const at::Tensor got = denoised(step.node(1, step.hidden, step.other));
  const at::Tensor noise = step.reference.at("unet.output").narrow(0, 0, 1);
  CHECK(fakes::distance(got, step.latent - noise * kSigma) < 1e-4);
}

TEST_CASE("the sample without noise follows from the velocity that the model predicts") {
  const StepCase step{"sd21_v_like"};
  const at::Tensor got = denoised(step.node(1, step.hidden, step.other));
  const at::Tensor velocity = step.reference.at("unet.output").narrow(0, 0, 1);
  const double variance = kSigma * kSigma + 1;
  const at::Tensor want = step.latent / variance - velocity * (kSigma / std::sqrt(variance));
  CHECK(fakes::distance(got, want) < 1e-4);
}

TEST_CASE("guidance goes from the negative to the positive prediction and beyond") {
  const StepCase step{"sd21_base_like"};
  const at::Tensor with = denoised(step.node(1, step.hidden, step.other));
  const at::Tensor without = denoised(step.node(1, step.other, step.hidden));
  auto node = step.node(7.5, step.hidden, step.other);
  CHECK(fakes::distance(denoised(node), guided(without, with, 7.5)) < 1e-3);
  node.variant = "sequential";
  CHECK(fakes::distance(denoised(node), guided(without, with, 7.5)) < 1e-3);
}

TEST_CASE("a guidance of 1 needs no negative condition, another one does") {
  const StepCase step{"sd15_like"};
  auto node = step.node(1, step.hidden, step.other);
  const at::Tensor want = denoised(node);
  node.inputs.erase("negative");
  fakes::forecast_node(node);
  CHECK(denoised(node).equal(want));
  node.params["guidance"] = 3.0;
  CHECK_THROWS_WITH_AS(fakes::forecast_node(node),
                       "input 'negative': expected a condition, got none; connect it, or set "
                       "'guidance' to 1",
                       GraphError);
}

TEST_CASE("a shorter condition is repeated in a batch where that fits, else evaluated alone") {
  const StepCase step{"sd15_like"};
  const at::Tensor longer =
      at::cat({step.hidden, step.reference.at("unet.hidden").narrow(0, 2, 1)}, 1);
  const at::Tensor shorter = step.other.narrow(1, 0, 50);
  for (const at::Tensor& negative : {step.other, shorter}) {
    CAPTURE(negative.size(1));
    const at::Tensor with = denoised(step.node(1, longer, negative));
    const at::Tensor without = denoised(step.node(1, negative, longer));
    CHECK(fakes::distance(denoised(step.node(4, longer, negative)), guided(without, with, 4)) <
          1e-3);
    CHECK(fakes::distance(denoised(step.node(4, negative, longer)), guided(with, without, 4)) <
          1e-3);
  }
}

TEST_CASE("a batch of latents shares the conditions") {
  const StepCase step{"sd15_like"};
  auto node = step.node(5, step.hidden, step.other);
  const at::Tensor alone = denoised(node);
  node.inputs["latent"] = at::cat({step.latent * 0.5, step.latent, step.latent * 2});
  const at::Tensor batch = denoised(node);
  CHECK(fakes::distance(batch.narrow(0, 1, 1), alone) < 1e-3);
  CHECK(to_text(fakes::forecast_node(node).outputs.at("denoised")) == to_text(spec_of(batch)));
  CHECK(batch.is_contiguous());
}

TEST_CASE("pictures and conditions evaluated one by one give what a batch gives") {
  const StepCase step{"sd15_like"};
  auto node = step.node(5, step.hidden, step.other);
  node.inputs["latent"] = at::cat({step.latent * 0.5, step.latent, step.latent * 2});
  const at::Tensor batch = denoised(node);
  const Forecast batched = fakes::forecast_node(node);
  node.variant = "one_by_one";
  CHECK(fakes::distance(denoised(node), batch) < 1e-3);
  const Forecast alone = fakes::forecast_node(node);
  CHECK(alone.workspace < batched.workspace);
  CHECK(batched.passes == 1);
  CHECK(alone.passes == 6);
  CHECK(alone.work.convolution == batched.work.convolution);
  node.variant = "sequential";
  CHECK(fakes::forecast_node(node).passes == 2);
  node.params["guidance"] = 1.0;
  CHECK(fakes::forecast_node(node).passes == 1);
}

TEST_CASE("keys and values of the conditions are made once, whatever is evaluated together") {
  const StepCase step{"sd15_like"};
  const at::Tensor longer = at::cat({step.hidden, step.hidden}, 1);  // twice as many tokens
  for (const char* variant : {"batched", "sequential"}) {
    CAPTURE(variant);
    auto node = step.node(5, longer, step.other);
    node.variant = variant;
    node.inputs["latent"] = at::cat({step.latent * 0.5, step.latent});
    const at::Tensor want = denoised(node);
    Memo memo;
    node.memo = &memo;
    CHECK(fakes::distance(denoised(node), want) < 1e-4);
    Bytes kept = 0;
    const Memo first = memo;
    for (const auto& [name, made] : first) kept += bytes_of(Value(made));
    CHECK(kept == fakes::forecast_node(node).memo);
    CHECK(fakes::distance(denoised(node), want) < 1e-4);
    for (const auto& [name, made] : first)
      for (const auto& [layer, tensor] : made) CHECK(memo.at(name).at(layer).is_same(tensor));
  }
}

TEST_CASE("keys and values are made anew when a condition changes between steps") {
  const StepCase step{"sd15_like"};
  for (const char* variant : {"batched", "sequential"}) {
    CAPTURE(variant);
    auto node = step.node(5, step.hidden, step.other), changed = node;
    changed.inputs["negative"] = condition(step.hidden * 0.5);
    node.variant = changed.variant = variant;
    const at::Tensor want = denoised(changed);
    Memo memo;
    node.memo = changed.memo = &memo;
    denoised(node);
    CHECK(denoised(changed).equal(want));
  }
}

TEST_CASE("nothing is kept for a single step, nor where pictures are evaluated one by one") {
  const StepCase step{"sd15_like"};
  auto single = step.node(5, step.hidden, step.other);
  single.inputs["iterations"] = std::int64_t{1};
  single.inputs["index"] = std::int64_t{0};
  auto lean = step.node(5, step.hidden, step.other);
  lean.variant = "one_by_one";
  for (fakes::NodeCase node : {single, lean}) {
    Memo memo;
    node.memo = &memo;
    denoised(node);
    CHECK(memo.empty());
    CHECK(fakes::forecast_node(node).memo == 0);
  }
}

TEST_CASE("a latent or a condition of another model is refused before the run") {
  const StepCase step{"sd15_like"};
  auto node = step.node(5, step.hidden.narrow(2, 0, 24), step.other);
  CHECK_THROWS_WITH_AS(fakes::forecast_node(node),
                       "input 'positive': expected states of width 32, got 24; the text encoder "
                       "and the UNet belong to different models",
                       WeightError);
  node.inputs["latent"] = step.latent.narrow(1, 0, 3).contiguous();
  CHECK_THROWS_WITH_AS(fakes::forecast_node(node),
                       "input 'latent': expected [B, 4, h, w], got [1, 3, 8, 12]", GraphError);
}

// A step of SDXL on the first sample of the reference, with the second as the negative prompt.
fakes::NodeCase sdxl_step(const StepCase& step, double guidance) {
  auto node = step.node(guidance, step.hidden, step.other);
  for (const auto& [port, row] : {std::pair("positive", 0), {"negative", 1}}) {
    auto& condition = std::get<Bundle>(node.inputs.find(port)->second);
    for (const char* name : {"pooled", "time_ids"})
      condition[name] = step.reference.at(str("unet.", name)).narrow(0, row, 1).contiguous();
  }
  return node;
}

TEST_CASE("pooled text and sizes go with their prompt, however guidance is evaluated") {
  const StepCase step{"sdxl_like"};
  const at::Tensor with = denoised(sdxl_step(step, 1));
  const at::Tensor noise = step.reference.at("unet.output").narrow(0, 0, 1);
  CHECK(fakes::distance(with, step.latent - noise * kSigma) < 1e-4);
  auto swapped = sdxl_step(step, 1);
  swapped.inputs["positive"] = swapped.inputs["negative"];
  const at::Tensor want = guided(denoised(swapped), with, 5);
  auto node = sdxl_step(step, 5);
  node.inputs["latent"] = at::cat({step.latent, step.latent});
  for (const char* variant : {"batched", "sequential", "one_by_one"}) {
    CAPTURE(variant);
    node.variant = variant;
    const at::Tensor got = denoised(node);
    CHECK(fakes::distance(got, at::cat({want, want})) < 1e-3);
  }
}

TEST_CASE("a UNet of SDXL is refused a condition without sizes, or with another number of them") {
  const StepCase step{"sdxl_like"};
  CHECK_THROWS_WITH_AS(fakes::forecast_node(step.node(1, step.hidden, step.other)),
                       "input 'positive': expected {hidden, pooled, time_ids}, got {hidden [1, 77, "
                       "40] float32}; a UNet of SDXL needs a condition of 'sdxl_condition'",
                       GraphError);
  auto node = sdxl_step(step, 1);
  std::get<Bundle>(node.inputs.find("positive")->second)["time_ids"] = at::zeros({1, 5});
  CHECK_THROWS_WITH_AS(fakes::forecast_node(node),
                       "input 'positive': a pooled state of 20 and 5 sizes of 6 make 50: expected "
                       "56; base models take six sizes, refiners five with an aesthetic score",
                       WeightError);
}

TEST_CASE("rescaled guidance has the spread of the prediction without guidance") {
  const StepCase step{"sd15_like"};
  const auto noise_of = [&](double guidance, double rescale) {
    auto node = step.node(guidance, step.hidden, step.other);
    node.params["guidance_rescale"] = rescale;
    return (step.latent - denoised(node)) / kSigma;
  };
  const at::Tensor plain = noise_of(1, 0), guided = noise_of(9, 0);
  const double spread = plain.std().item<double>(), wide = guided.std().item<double>();
  REQUIRE(wide > 1.1 * spread);
  CHECK(fakes::distance(noise_of(9, 1), guided * (spread / wide)) < 1e-4);
  const at::Tensor half = guided * (0.5 * spread / wide + 0.5);
  CHECK(fakes::distance(noise_of(9, 0.5), half) < 1e-4);
}

TEST_CASE("the index counts from the first step that the schedule names") {
  const StepCase step{"sd15_like"};
  auto node = step.node(1, step.hidden, step.other);
  const at::Tensor want = denoised(node);
  std::get<Bundle>(node.inputs.find("schedule")->second)["first"] = at::tensor({1.0}, c10::kDouble);
  node.inputs["index"] = std::int64_t{0};
  CHECK(denoised(node).equal(want));
  node.inputs["index"] = std::int64_t{1};
  CHECK_THROWS_WITH_AS(denoised(node), "input 'index': expected 0 to 0, got 1", GraphError);
}

TEST_CASE("a step ends at once when the host asks") {
  const StepCase step{"sd15_like"};
  auto node = step.node(5, step.hidden, step.other);
  const std::atomic<bool> cancelled = true;
  node.cancelled = &cancelled;
  CHECK_THROWS_AS(denoised(node), Cancelled);
}

TEST_CASE("an index beyond the schedule is refused") {
  const StepCase step{"sd15_like"};
  auto node = step.node(5, step.hidden, step.other);
  node.inputs["index"] = std::int64_t{2};
  CHECK_THROWS_WITH_AS(denoised(node), "input 'index': expected 0 to 1, got 2", GraphError);
}

}  // namespace
}  // namespace emulsion

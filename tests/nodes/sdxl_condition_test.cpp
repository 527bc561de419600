#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include "check.h"

#include "emulsion/errors.h"
#include "fakes/reference.h"
#include "fakes/run_node.h"

namespace emulsion {
namespace {

const at::Tensor kFirst = at::randn({1, 77, 16}), kSecond = at::randn({1, 77, 24});
const at::Tensor kPooled = at::randn({1, 20});

fakes::NodeCase both(const std::string& model = "sdxl_like") {
  return {.id = "sdxl_condition",
          .model = fakes::reference_model(model),
          .parts = {{"index", "model_index"}, {"vae", "vae"}},
          .inputs = {{"first", Bundle{{"hidden", kFirst}}},
                     {"second", Bundle{{"hidden", kSecond}, {"pooled", kPooled}}},
                     {"latent", at::zeros({1, 4, 10, 20})}}};
}

Bundle condition(const fakes::NodeCase& node) {
  const Bundle made = std::get<Bundle>(fakes::run_node(node).at("condition"));
  CHECK(to_text(fakes::forecast_node(node).outputs.at("condition")) == to_text(spec_of(made)));
  return made;
}

std::vector<float> time_ids(const fakes::NodeCase& node) {
  const at::Tensor ids = condition(node).at("time_ids");
  return {ids.const_data_ptr<float>(), ids.const_data_ptr<float>() + ids.numel()};
}

TEST_CASE("the states of both encoders stand side by side, and the second one's is pooled") {
  const Bundle made = condition(both());
  CHECK(made.at("hidden").equal(at::cat({kFirst, kSecond}, 2)));
  CHECK(made.at("pooled").equal(kPooled));
}

TEST_CASE("without a second encoder the first one's states are taken") {
  fakes::NodeCase node = both();
  node.inputs["first"] = node.inputs["second"];
  node.inputs.erase("second");
  const Bundle made = condition(node);
  CHECK(made.at("hidden").equal(kSecond));
  CHECK(made.at("pooled").equal(kPooled));
}

TEST_CASE("the sizes are the picture's, height first, with the crop between them") {
  fakes::NodeCase node = both();  // whose VAE makes 4 pixels of one
  CHECK(time_ids(node) == std::vector<float>{40, 80, 0, 0, 40, 80});
  node.params = {{"original_width", std::int64_t{1000}}, {"original_height", std::int64_t{900}},
                 {"crop_top", std::int64_t{3}},          {"crop_left", std::int64_t{4}},
                 {"target_width", std::int64_t{500}},    {"target_height", std::int64_t{600}}};
  CHECK(time_ids(node) == std::vector<float>{900, 1000, 3, 4, 600, 500});
}

TEST_CASE("a refiner is told a score instead of the wanted size") {
  fakes::NodeCase node = both();
  node.params = {{"aesthetic_score", 2.5}, {"original_width", std::int64_t{64}}};
  CHECK(time_ids(node) == std::vector<float>{40, 64, 0, 0, 2.5});
}

TEST_CASE("an empty prompt is all zeros where the model says so") {
  fakes::NodeCase node = both();
  node.inputs["text"] = std::string();
  Bundle made = condition(node);
  CHECK(made.at("hidden").equal(at::zeros({1, 77, 40})));
  CHECK(made.at("pooled").equal(at::zeros({1, 20})));
  CHECK(made.at("time_ids")[0][0].item<double>() == 40);
  node.inputs["text"] = std::string(" ");
  CHECK(condition(node).at("pooled").equal(kPooled));
  node.inputs["text"] = std::string();
  node.model = fakes::reference_model("sdxl_refiner_like");
  CHECK(condition(node).at("pooled").equal(kPooled));
}

TEST_CASE("encoders that do not belong together are refused before the run") {
  fakes::NodeCase node = both();
  node.inputs["second"] = Bundle{{"hidden", kSecond}};
  CHECK_THROWS_WITH_AS(fakes::forecast_node(node),
                       "no text encoder has a projection: expected one of class "
                       "'CLIPTextModelWithProjection', as SDXL's last one is",
                       WeightError);
  node.inputs["second"] = Bundle{{"hidden", at::ones({1, 154, 24})}, {"pooled", kPooled}};
  CHECK_THROWS_WITH_AS(fakes::forecast_node(node),
                       "input 'second': expected states of 77 tokens, as the first has, got 154; "
                       "take both tokenizers of one model",
                       WeightError);
}

}  // namespace
}  // namespace emulsion

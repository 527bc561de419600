#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include "check.h"

#include "fakes/reference.h"
#include "fakes/run_node.h"

namespace emulsion {
namespace {

constexpr const char* kTinyModel = "../examples/models/tiny-sd21";

at::Tensor doubles(const std::vector<double>& values) { return at::tensor(values, c10::kDouble); }

Bundle schedule_of_two() {
  return {{"sigmas", doubles({14, 3, 0})},
          {"timesteps", doubles({999, 500})},
          {"initial_scale", doubles({14})}};
}

Bundle condition(std::int64_t tokens, std::int64_t width, c10::ScalarType dtype) {
  return {{"hidden", at::randn({1, tokens, width}).to(dtype)}};
}

// The nodes that compute, each on `model`, with `pictures` of h x w latent pixels.
std::vector<fakes::NodeCase> node_cases(const std::filesystem::path& model, std::int64_t width,
                                        std::int64_t side, c10::ScalarType dtype) {
  const std::int64_t B = 2, h = 40, w = 56;
  const at::Tensor latent = at::randn({B, 4, h, w});
  const at::Tensor ids = at::ones({2, 77}, at::kLong);
  std::vector<fakes::NodeCase> list = {
      {.id = "text_encoder",
       .parts = {{"encoder", "text_encoder"}},
       .inputs = {{"tokens", Bundle{{"ids", ids},
                                    {"weights", at::full({2, 77}, 1.1)},
                                    {"empty", ids.narrow(0, 0, 1)}}}}},
      {.id = "unet_step",
       .parts = {{"unet", "unet"}, {"config", "scheduler"}},
       .inputs = {{"latent", latent},
                  {"schedule", schedule_of_two()},
                  {"index", std::int64_t{1}},
                  {"positive", condition(154, width, dtype)},
                  {"negative", condition(77, width, dtype)}}},
      {.id = "vae_decode", .parts = {{"vae", "vae"}}, .inputs = {{"latent", latent}}},
      {.id = "vae_encode",
       .params = {{"seed", std::int64_t{1}}},
       .parts = {{"vae", "vae"}},
       .inputs = {{"image", at::rand({B, 3, side * h, side * w})}}},
      {.id = "latent_noise",
       .params = {{"batch", std::int64_t{3}}, {"width", side * w}, {"height", side * h}},
       .parts = {{"unet", "unet"}, {"vae", "vae"}},
       .inputs = {{"schedule", schedule_of_two()}}},
      {.id = "sampler_step",
       .parts = {{"config", "scheduler"}},
       .inputs = {{"latent", latent},
                  {"denoised", latent},
                  {"schedule", schedule_of_two()},
                  {"index", std::int64_t{0}}}},
      {.id = "scheduler", .parts = {{"config", "scheduler"}}},
      {.id = "tokenizer",
       .parts = {{"vocab", "tokenizer"}},
       .inputs = {{"text", std::string("a large red star")}}},
  };
  for (fakes::NodeCase& node : list) {
    node.model = model;
    node.dtype = dtype;
  }
  return list;
}

void check_variants(fakes::NodeCase node) {
  CAPTURE(node.id);
  for (const std::string& variant : fakes::descriptor_of(node.id).variants) {
    CAPTURE(variant);
    node.variant = variant;
    const Forecast forecast = fakes::forecast_node(node);
    const Bytes bound = fakes::forecast_peak(forecast), peak = fakes::peak_of_run(node);
    CAPTURE(format_bytes(bound));
    CAPTURE(format_bytes(peak));
    CHECK(peak <= bound);
    for (const auto& [name, value] : fakes::run_node(node)) {
      CAPTURE(name);
      CHECK(to_text(forecast.outputs.at(name)) == to_text(spec_of(value)));
    }
  }
}

TEST_CASE("no variant of a node holds more than its forecast, nor gives another shape") {
  const struct {
    std::filesystem::path model;
    std::int64_t text_width, side;
  } models[] = {{fakes::reference_model("sd15_like"), 32, 4},
                {fakes::reference_model("sd21_base_like"), 40, 8},
                {kTinyModel, 64, 8}};
  for (const auto& [model, width, side] : models) {
    CAPTURE(model);
    for (const c10::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      CAPTURE(dtype_text(dtype));
      for (fakes::NodeCase node : node_cases(model, width, side, dtype)) {
        check_variants(node);
        node.packing = Packing::Int8;
        check_variants(node);
      }
    }
  }
}

}  // namespace
}  // namespace emulsion

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include "check.h"

#include "emulsion/errors.h"
#include "fakes/reference.h"
#include "fakes/run_node.h"

namespace emulsion {
namespace {

fakes::NodeCase noise_of(const std::string& model, std::int64_t seed, double scale) {
  return {.id = "latent_noise",
          .params = {{"seed", seed}},
          .model = std::filesystem::path("reference") / model,
          .parts = {{"unet", "unet"}, {"vae", "vae"}},
          .inputs = {{"schedule", Bundle{{"initial_scale", at::full({1}, scale, at::kDouble)}}}}};
}

at::Tensor latent_of(const fakes::NodeCase& node) {
  return std::get<at::Tensor>(fakes::run_node(node).at("latent"));
}

fakes::NodeCase sized(fakes::NodeCase node, std::int64_t width, std::int64_t height) {
  node.params["width"] = width;
  node.params["height"] = height;
  return node;
}

}  // namespace

// The last bits of torch's noise depend on the instructions that the CPU has.
TEST_CASE("noise is torch's of a CPU generator") {
  const auto reference = fakes::reference_tensors("sd21_v_like");
  CHECK(fakes::distance(latent_of(sized(noise_of("sd21_v_like", 7, 1), 96, 64)),
                        reference.at("noise.1x4x8x12.seed7")) < 1e-6);
  CHECK(fakes::distance(latent_of(sized(noise_of("sd21_v_like", 7, 1), 72, 120)),
                        reference.at("noise.1x4x15x9.seed7")) < 1e-6);
  CHECK(fakes::distance(
            latent_of(sized(noise_of("sd21_base_like", std::int64_t{2147483653}, 1), 64, 128)),
            fakes::reference_tensors("sd21_base_like").at("noise.1x4x16x8.seed2147483653")) < 1e-6);
}

TEST_CASE("each picture of a batch has the next seed") {
  fakes::NodeCase node = sized(noise_of("sd15_like", 100, 1), 96, 64);
  node.params["batch"] = std::int64_t{3};
  const at::Tensor latent = latent_of(node);
  CHECK(fakes::distance(
            latent, fakes::reference_tensors("sd15_like").at("noise.3x4x16x24.seed100")) < 1e-6);
  node = sized(noise_of("sd15_like", 102, 1), 96, 64);
  CHECK(fakes::distance(latent_of(node), latent.narrow(0, 2, 1)) == 0);
}

TEST_CASE("noise is scaled to the schedule's start") {
  const at::Tensor unit = latent_of(noise_of("sd15_like", 1, 1));
  CHECK(fakes::distance(latent_of(noise_of("sd15_like", 1, 14.5)), unit.mul(14.5)) == 0);
}

TEST_CASE("without a size the noise has that of the model's training") {
  const fakes::NodeCase node = noise_of("sd15_like", 1, 1);
  CHECK(to_text(fakes::forecast_node(node).outputs.at("latent")) == "[1, 4, 16, 16] float32");
  CHECK(shape_text(latent_of(node).sizes()) == "[1, 4, 16, 16]");
}

TEST_CASE("a side that the VAE cannot halve is refused before the run") {
  CHECK_THROWS_WITH_AS(fakes::forecast_node(sized(noise_of("sd21_v_like", 1, 1), 100, 64)),
                       "'width' is 100: expected a multiple of 8; take 104", GraphError);
  CHECK_THROWS_WITH_AS(fakes::forecast_node(sized(noise_of("sd21_v_like", 1, 1), 64, 3)),
                       "'height' is 3: expected a multiple of 8; take 8", GraphError);
  // three levels: a factor of 4
  CHECK(to_text(fakes::forecast_node(sized(noise_of("sd15_like", 1, 1), 100, 64))
                    .outputs.at("latent")) == "[1, 4, 16, 25] float32");
}

}  // namespace emulsion

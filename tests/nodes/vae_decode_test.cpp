#include <ATen/TensorOperators.h>
#include "check.h"

#include "emulsion/errors.h"
#include "fakes/reference.h"
#include "fakes/run_node.h"

namespace emulsion {
namespace {

fakes::NodeCase decode(const std::string& model, const at::Tensor& latent) {
  return {.id = "vae_decode",
          .model = fakes::reference_model(model),
          .parts = {{"vae", "vae"}},
          .inputs = {{"latent", latent}}};
}

at::Tensor image_of(const fakes::NodeCase& node) {
  return std::get<at::Tensor>(fakes::run_node(node).at("image"));
}

TEST_CASE("an image is the decoded latent, unscaled, from -1..1 to 0..1 and cut off there") {
  const auto reference = fakes::reference_tensors("sd21_v_like");
  const auto node = decode("sd21_v_like", reference.at("vae.latent") * 0.52539);
  const at::Tensor image = image_of(node);
  const at::Tensor want = (reference.at("vae.decoded") + 1).mul(0.5).clamp(0, 1);
  CHECK(fakes::distance(image, want) < 2e-5);
  CHECK(image.is_contiguous());
  CHECK(to_text(fakes::forecast_node(node).outputs.at("image")) == "[2, 3, 48, 80] float32");
}

TEST_CASE("an image is float32 in every run") {
  const auto reference = fakes::reference_tensors("sd15_like");
  auto node = decode("sd15_like", reference.at("vae.latent") * 0.18215);
  node.dtype = c10::kBFloat16;
  const at::Tensor want = (reference.at("vae.decoded") + 1).mul(0.5).clamp(0, 1);
  const at::Tensor image = image_of(node);
  CHECK(dtype_text(image.scalar_type()) == "float32");
  CHECK(fakes::distance(image, want) < 0.05);
  CHECK(to_text(fakes::forecast_node(node).outputs.at("image")) == "[2, 3, 24, 40] float32");
}

TEST_CASE("a latent of another number of channels is refused before the run") {
  const auto reference = fakes::reference_tensors("sd15_like");
  const auto node = decode("sd15_like", reference.at("vae.latent").narrow(1, 0, 3).contiguous());
  CHECK_THROWS_WITH_AS(fakes::forecast_node(node),
                       "input 'latent': expected [B, 4, h, w], got [2, 3, 6, 10]", GraphError);
}

}  // namespace
}  // namespace emulsion

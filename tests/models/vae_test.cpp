#include "models/vae.h"

#include <c10/core/InferenceMode.h>
#include "check.h"

#include "emulsion/errors.h"
#include "fakes/reference.h"
#include "models/vae_encoder.h"

namespace emulsion::models {
namespace {

VaeDecoder decoder_of(const fakes::LoadedPart& part) {
  return VaeDecoder(part.view(), read_vae_config(*part.component));
}

TEST_CASE("a decoded latent is diffusers' within 2e-5") {
  const c10::InferenceMode inference;
  for (const std::string name : fakes::kReferenceModels) {
    CAPTURE(name);
    const auto part = fakes::load_part(fakes::reference_model(name), "vae");
    const auto reference = fakes::reference_tensors(name);
    const at::Tensor image = decoder_of(part)(reference.at("vae.latent"), [] {});
    CHECK(fakes::distance(image, reference.at("vae.decoded")) < 2e-5);
  }
}

TEST_CASE("a decoder asks before each residual block of its levels whether to go on") {
  const c10::InferenceMode inference;
  const auto part = fakes::load_part(fakes::reference_model("sd15_like"), "vae");
  int asked = 0;
  decoder_of(part)(fakes::reference_tensors("sd15_like").at("vae.latent"), [&] { ++asked; });
  CHECK(asked == 3 * 2 + 2);  // levels of two, and two upsamplers
}

TEST_CASE("the distribution of an encoded image is diffusers' within 2e-5") {
  const c10::InferenceMode inference;
  for (const std::string name : fakes::kReferenceModels) {
    CAPTURE(name);
    const auto part = fakes::load_part(fakes::reference_model(name), "vae");
    const auto reference = fakes::reference_tensors(name);
    const VaeEncoder encoder(part.view(), read_vae_config(*part.component));
    const LatentDistribution latent = encoder(reference.at("vae.image"), [] {});
    CHECK(fakes::distance(latent.mean, reference.at("vae.encoded_mean")) < 2e-5);
    CHECK(fakes::distance(latent.deviation, reference.at("vae.encoded_deviation")) < 2e-5);
  }
}

TEST_CASE("an encoder takes its own half of the file, and all of it") {
  const auto part = fakes::load_part(fakes::reference_model("sd21_base_like"), "vae");
  WeightSet damaged = part.header();
  std::erase_if(damaged.weights, [](const auto& entry) { return entry.first.starts_with("dec"); });
  damaged.weights.erase("quant_conv.bias");
  damaged.weights["encoder.extra"] = {};
  const WeightView view(std::make_shared<const WeightSet>(damaged));
  const VaeEncoder encoder(view, read_vae_config(*part.component));
  CHECK_THROWS_WITH_AS(view.finish(),
                       doctest::Contains("1 tensors missing: 'quant_conv.bias' [8]; 1 tensors "
                                         "that the config does not call for: 'encoder.extra'"),
                       WeightError);
}

TEST_CASE("only a decoder's tensors are asked for, and all of them") {
  const auto part = fakes::load_part(fakes::reference_model("sd21_base_like"), "vae");
  WeightSet damaged = part.header();
  std::erase_if(damaged.weights, [](const auto& entry) { return entry.first.starts_with("enc"); });
  damaged.weights.erase("post_quant_conv.bias");
  damaged.weights["decoder.extra"] = {};
  const WeightView view(std::make_shared<const WeightSet>(damaged));
  const VaeDecoder decoder(view, read_vae_config(*part.component));
  CHECK_THROWS_WITH_AS(view.finish(),
                       doctest::Contains("1 tensors missing: 'post_quant_conv.bias' [4]; 1 tensors "
                                         "that the config does not call for: 'decoder.extra'"),
                       WeightError);
}

}  // namespace
}  // namespace emulsion::models

#include "models/clip_text.h"

#include <c10/core/InferenceMode.h>
#include "check.h"

#include "emulsion/errors.h"
#include "fakes/reference.h"

namespace emulsion::models {
namespace {

ClipText text_encoder(const fakes::LoadedPart& part) {
  return ClipText(part.view(), read_clip_text_config(*part.component));
}

TEST_CASE("the states of the text are transformers' within 1e-5") {
  const c10::InferenceMode inference;
  for (const std::string name : fakes::kReferenceModels) {
    CAPTURE(name);
    const auto part = fakes::load_part(fakes::reference_model(name), "text_encoder");
    const auto reference = fakes::reference_tensors(name);
    const at::Tensor hidden = text_encoder(part)(reference.at("text.ids"));
    CHECK(fakes::distance(hidden, reference.at("text.hidden")) < 1e-5);
  }
}

TEST_CASE("the states of a token do not depend on later tokens") {
  const c10::InferenceMode inference;
  const auto part = fakes::load_part(fakes::reference_model("sd15_like"), "text_encoder");
  const auto reference = fakes::reference_tensors("sd15_like");
  const ClipText encoder = text_encoder(part);
  const at::Tensor ids = reference.at("text.ids");
  const at::Tensor whole = encoder(ids), part_of_it = encoder(ids.narrow(1, 0, 5).contiguous());
  CHECK(fakes::distance(part_of_it, whole.narrow(1, 0, 5)) < 1e-5);
}

TEST_CASE("a text encoder whose config has another width is refused with the tensors' names") {
  const auto part = fakes::load_part(fakes::reference_model("sd15_like"), "text_encoder");
  ClipTextConfig config = read_clip_text_config(*part.component);
  config.layers = 2;
  config.vocabulary = 7;
  const WeightView view(std::make_shared<const WeightSet>(part.header()));
  const ClipText encoder(view, config);
  CHECK_THROWS_WITH_AS(
      view.finish(),
      doctest::Contains("1 tensors of another shape: "
                        "'text_model.embeddings.token_embedding.weight' expected [7, 32], got "
                        "[1434, 32]; 16 tensors that the config does not call for: "
                        "'text_model.encoder.layers.2."),
      WeightError);
}

}  // namespace
}  // namespace emulsion::models

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

std::span<const std::int64_t> row(const at::Tensor& ids, std::int64_t index) {
  return {ids[index].const_data_ptr<std::int64_t>(), static_cast<std::size_t>(ids.size(1))};
}

TEST_CASE("the states of the text are transformers' within 1e-5") {
  const c10::InferenceMode inference;
  for (const std::string name : fakes::kReferenceModels) {
    CAPTURE(name);
    const auto part = fakes::load_part(fakes::reference_model(name), "text_encoder");
    const auto reference = fakes::reference_tensors(name);
    const at::Tensor hidden = text_encoder(part)(reference.at("text.ids")).hidden;
    CHECK(fakes::distance(hidden, reference.at("text.hidden")) < 1e-5);
  }
}

TEST_CASE("the states of a token do not depend on later tokens") {
  const c10::InferenceMode inference;
  const auto part = fakes::load_part(fakes::reference_model("sd15_like"), "text_encoder");
  const auto reference = fakes::reference_tensors("sd15_like");
  const ClipText encoder = text_encoder(part);
  const at::Tensor ids = reference.at("text.ids");
  const at::Tensor whole = encoder(ids).hidden;
  const at::Tensor part_of_it = encoder(ids.narrow(1, 0, 5).contiguous()).hidden;
  CHECK(fakes::distance(part_of_it, whole.narrow(1, 0, 5)) < 1e-5);
}

TEST_CASE("the states that SDXL takes are those before the last layer, without a norm") {
  const c10::InferenceMode inference;
  for (const auto& [name, part_name] :
       {std::pair("sdxl_like", "text"), {"sdxl_like", "text_2"}, {"sdxl_refiner_like", "text_2"}}) {
    CAPTURE(name);
    CAPTURE(part_name);
    const std::string folder = part_name == std::string("text") ? "text_encoder" : "text_encoder_2";
    const auto part = fakes::load_part(fakes::reference_model(name), folder);
    const ClipTextConfig config = read_clip_text_config(*part.component);
    const ClipText encoder(part.view(), config, {.skipped = 1, .normed = false});
    const auto reference = fakes::reference_tensors(name);
    const at::Tensor ids = reference.at(part_name + std::string(".ids"));
    const ClipTextStates states = encoder(ids);
    CHECK(fakes::distance(states.hidden, reference.at(part_name + std::string(".hidden"))) < 1e-5);
    if (folder == "text_encoder") continue;
    for (std::int64_t i = 0; i < ids.size(0); ++i) {
      const std::int64_t end = end_position(row(ids, i), config.end_token);
      const at::Tensor pooled = (*encoder.text_projection)(states.last[i].narrow(0, end, 1));
      CHECK(fakes::distance(pooled, reference.at("text_2.pooled").narrow(0, i, 1)) < 1e-5);
    }
  }
}

TEST_CASE("layers that nothing is taken from are left in the file") {
  const auto part = fakes::load_part(fakes::reference_model("sdxl_like"), "text_encoder");
  const WeightView view(std::make_shared<const WeightSet>(part.header()));
  const ClipText encoder(view, read_clip_text_config(*part.component),
                         {.skipped = 2, .normed = false});
  CHECK_NOTHROW(view.finish());
  CHECK(encoder.layers.size() == 1);
  CHECK(view.use().lasting.empty());
  CHECK(view.use().blocks.size() == 2);  // the embeddings and one layer
}

TEST_CASE("a choice of states before the last is the same whether the last are computed or not") {
  const c10::InferenceMode inference;
  const auto part = fakes::load_part(fakes::reference_model("sdxl_like"), "text_encoder_2");
  const at::Tensor ids = fakes::reference_tensors("sdxl_like").at("text_2.ids");
  ClipTextConfig config = read_clip_text_config(*part.component);
  for (const bool normed : {true, false}) {
    const ClipTextChoice choice{.skipped = 2, .normed = normed};
    const at::Tensor beside = ClipText(part.view(), config, choice)(ids).hidden;
    ClipTextConfig without = config;
    without.projection = 0;
    CHECK(fakes::distance(ClipText(part.view(), without, choice)(ids).hidden, beside) == 0);
  }
}

TEST_CASE("the end of a prompt is the largest id, or the first of the config's end tokens") {
  const std::vector<std::int64_t> ids = {8, 3, 9, 9, 0, 5};
  CHECK(end_position(ids, 2) == 2);
  CHECK(end_position(ids, 0) == 4);
  CHECK(end_position(ids, 7) == 0);
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

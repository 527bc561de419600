#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>
#include "check.h"

#include "emulsion/errors.h"
#include "fakes/reference.h"
#include "fakes/run_node.h"

namespace emulsion {
namespace {

fakes::NodeCase encode(const at::Tensor& ids, const at::Tensor& weights, const at::Tensor& empty) {
  return {.id = "text_encoder",
          .model = fakes::reference_model("sd15_like"),
          .parts = {{"encoder", "text_encoder"}},
          .inputs = {{"tokens", Bundle{{"ids", ids}, {"weights", weights}, {"empty", empty}}}}};
}

struct Texts {
  std::map<std::string, at::Tensor> reference = fakes::reference_tensors("sd15_like");
  at::Tensor ids = reference.at("text.ids");        // [3, 77], the first of them empty
  at::Tensor hidden = reference.at("text.hidden");  // [3, 77, 32]
  at::Tensor empty = ids.narrow(0, 0, 1);
};

at::Tensor hidden_of(const fakes::NodeCase& node) {
  return std::get<Bundle>(fakes::run_node(node).at("condition")).at("hidden");
}

TEST_CASE("chunks are encoded each for itself and put in a row") {
  const Texts texts;
  const auto node = encode(texts.ids, at::ones({3, 77}), texts.empty);
  const at::Tensor hidden = hidden_of(node);
  CHECK(fakes::distance(hidden, texts.hidden.view({1, 231, 32})) < 1e-5);
  CHECK(to_text(fakes::forecast_node(node).outputs.at("condition")) ==
        to_text(spec_of(Bundle{{"hidden", hidden}})));
}

TEST_CASE("a weight moves its token's state away from the empty prompt's") {
  const Texts texts;
  at::Tensor weights = at::ones({1, 77});
  weights.mutable_data_ptr<float>()[3] = 1.5F;
  weights.mutable_data_ptr<float>()[4] = 0.0F;
  const at::Tensor hidden = hidden_of(encode(texts.ids.narrow(0, 1, 1), weights, texts.empty));
  const at::Tensor plain = texts.hidden[1], empty = texts.hidden[0];  // [77, 32]
  CHECK(fakes::distance(hidden[0][3], (plain[3] - empty[3]) * 1.5 + empty[3]) < 1e-5);
  CHECK(fakes::distance(hidden[0][4], empty[4]) < 1e-5);
  CHECK(fakes::distance(hidden[0].narrow(0, 5, 72), plain.narrow(0, 5, 72)) < 1e-5);
}

TEST_CASE("the states have the dtype of the run") {
  const Texts texts;
  auto node = encode(texts.ids, at::ones({3, 77}), texts.empty);
  node.dtype = c10::kBFloat16;
  const at::Tensor hidden = hidden_of(node);
  CHECK(dtype_text(hidden.scalar_type()) == "bfloat16");
  CHECK(to_text(fakes::forecast_node(node).outputs.at("condition")) ==
        "{hidden [1, 231, 32] bfloat16}");
  CHECK(fakes::distance(hidden, texts.hidden.view({1, 231, 32})) < 0.1);
}

fakes::NodeCase encode_for_sdxl(const at::Tensor& ids) {
  auto node = encode(ids, at::ones(ids.sizes()), ids.narrow(0, 0, 1));
  node.model = fakes::reference_model("sdxl_like");
  node.parts = {{"encoder", "text_encoder_2"}};
  node.params = {{"states", std::string("penultimate")}};
  return node;
}

TEST_CASE("SDXL's states are the penultimate ones, with the pooled state of the first chunk") {
  const auto reference = fakes::reference_tensors("sdxl_like");
  auto node = encode_for_sdxl(reference.at("text_2.ids").narrow(0, 1, 2).contiguous());
  const Bundle made = std::get<Bundle>(fakes::run_node(node).at("condition"));
  const at::Tensor hidden = reference.at("text_2.hidden").narrow(0, 1, 2);
  CHECK(fakes::distance(made.at("hidden"), hidden.reshape({1, 154, 24})) < 1e-5);
  CHECK(fakes::distance(made.at("pooled"), reference.at("text_2.pooled").narrow(0, 1, 1)) < 1e-5);
  CHECK(to_text(fakes::forecast_node(node).outputs.at("condition")) == to_text(spec_of(made)));
}

TEST_CASE("earlier layers are taken on request, down to the first") {
  const auto reference = fakes::reference_tensors("sdxl_like");
  auto node = encode_for_sdxl(reference.at("text_2.ids"));
  const at::Tensor penultimate = hidden_of(node);
  node.params["clip_skip"] = std::int64_t{2};
  CHECK(fakes::distance(hidden_of(node), penultimate) > 0.1);
  node.params["clip_skip"] = std::int64_t{3};
  CHECK_THROWS_WITH_AS(fakes::forecast_node(node),
                       "'clip_skip' is 3: expected at most 2, as the encoder has 4 layers",
                       GraphError);
}

TEST_CASE("an id beyond the vocabulary is refused") {
  const Texts texts;
  at::Tensor ids = texts.ids.clone();
  ids.mutable_data_ptr<std::int64_t>()[5] = 1434;
  CHECK_THROWS_WITH_AS(hidden_of(encode(ids, at::ones({3, 77}), texts.empty)),
                       "token 1434: expected 0 to 1433; the tokenizer and the text encoder belong "
                       "to different models",
                       WeightError);
}

TEST_CASE("a chunk longer than the encoder knows positions is refused before the run") {
  const at::Tensor ids = at::ones({1, 78}, c10::kLong);
  CHECK_THROWS_WITH_AS(fakes::forecast_node(encode(ids, at::ones({1, 78}), ids)),
                       "chunks of 78 tokens: expected at most 77, as 'max_position_embeddings' "
                       "says; take the model's own tokenizer",
                       WeightError);
}

}  // namespace
}  // namespace emulsion

#include <memory>

#include "emulsion/plugin.h"
#include "models/embeddings.h"
#include "models/ops.h"
#include "models/prompt.h"

namespace emulsion {
namespace {

// A tensor of the shape, which owns a copy of the values.
template <class T>
at::Tensor tensor_of(const std::vector<T>& values, c10::IntArrayRef shape, c10::ScalarType dtype) {
  at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(dtype));
  std::copy(values.begin(), values.end(), tensor.data_ptr<T>());
  return tensor;
}

class TokenizerNode final : public Node {
 public:
  explicit TokenizerNode(const Params& params)
      : options_{.emphasis = params.get<bool>("emphasis"),
                 .cut = params.get<std::string>("overflow") == "cut",
                 .embeddings = params.find<std::string>("embeddings").value_or("")} {}

  Forecast forecast(const ForecastContext& context) const override {
    const models::Tokenizer tokenizer(context.component("vocab"));
    const models::PromptTokens tokens =
        models::tokenize_prompt(tokenizer, context.value<std::string>("text"), options_);
    const TensorSpec ids{{tokens.chunks, tokens.length}, at::kLong};
    BundleSpec bundle{{"ids", ids},
                      {"weights", {ids.shape, at::kFloat}},
                      {"empty", {{1, tokens.length}, at::kLong}}};
    for (const auto& [name, embedding] : tokens.embeddings)
      bundle[key_of(name)] = {shape_of(embedding), at::kLong};
    return {.outputs = {{"tokens", std::move(bundle)}}};
  }

  void run(RunContext& context) const override {
    const models::Tokenizer tokenizer(context.component("vocab"));
    const models::PromptTokens tokens =
        models::tokenize_prompt(tokenizer, context.value<std::string>("text"), options_);
    const std::vector<std::int64_t> shape{tokens.chunks, tokens.length};
    Bundle bundle{{"ids", tensor_of(tokens.ids, shape, at::kLong)},
                  {"weights", tensor_of(tokens.weights, shape, at::kFloat)},
                  {"empty", tensor_of(tokens.empty, {1, tokens.length}, at::kLong)}};
    for (const auto& [name, embedding] : tokens.embeddings)
      bundle[key_of(name)] = tensor_of(embedding.places, shape_of(embedding), at::kLong);
    context.output("tokens", std::move(bundle));
  }

 private:
  static std::string key_of(const std::string& embedding) {
    return str(models::kEmbeddingWord, embedding);
  }

  // [m, k]
  static std::vector<std::int64_t> shape_of(const models::EmbeddingPlaces& embedding) {
    const auto places = static_cast<std::int64_t>(embedding.places.size());
    return {places / embedding.length, embedding.length};
  }

  models::PromptOptions options_;
};

void describe(std::vector<NodeDescriptor>& nodes) {
  nodes.push_back(
      {.id = "tokenizer",
       .summary = "Turns a prompt into the token ids that the text encoder reads.",
       .inputs = {{"text", port::kText, "The prompt."}},
       .outputs = {{"tokens", port::kTokens,
                    "and where each embedding stands: `embedding:name` [m, k] int64, counted "
                    "through all chunks"}},
       .params = {{"emphasis", true,
                   "Whether parentheses weigh: `(a cat)` 1.1 times, `(a cat:1.3)` 1.3 times; "
                   "`\\(` is a parenthesis. Else the prompt is taken as it stands."},
                  {.name = "overflow",
                   .fallback = std::string("chunk"),
                   .help = "What becomes of a prompt that is longer than the text encoder reads: "
                           "`chunk` encodes it in parts, `cut` leaves the rest out, as diffusers.",
                   .choices = {"chunk", "cut"}},
                  {.name = "embeddings",
                   .fallback = std::string(),
                   .help = "The folder of `name.safetensors`, which stands for `embedding:name`, "
                           "or such a file, or a LoRA's with embeddings bundled.",
                   .optional = true,
                   .file = true}},
       .slots = {{"vocab", "The model's tokenizer."}},
       .runs_on = Home::Host,
       .create = [](const Params& params) { return std::make_unique<TokenizerNode>(params); }});
}

}  // namespace
}  // namespace emulsion

EMULSION_PLUGIN(emulsion::describe)

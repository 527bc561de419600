#include <filesystem>
#include <span>

#include "models/clip_text.h"
#include "models/cost.h"
#include "models/embeddings.h"
#include "models/ops.h"

namespace emulsion {
namespace {

const char* const kFinal = "final";
const char* const kPenultimate = "penultimate";

std::int64_t hidden_bytes(const std::vector<std::int64_t>& shape) {
  return TensorSpec{shape, at::kFloat}.bytes();
}

// Ids of a tokenizer that has more words than the encoder would read beyond the table's end.
void check_ids(const at::Tensor& ids, std::int64_t vocabulary) {
  const std::span<const std::int64_t> list(ids.const_data_ptr<std::int64_t>(),
                                           static_cast<std::size_t>(ids.numel()));
  for (const std::int64_t id : list)
    if (id < 0 || id >= vocabulary)
      throw WeightError(str("token ", id, ": expected 0 to ", vocabulary - 1,
                            "; the tokenizer and the text encoder belong to different models"));
}

std::span<const std::int64_t> first_row(const at::Tensor& ids) {
  return {ids.const_data_ptr<std::int64_t>(), static_cast<std::size_t>(ids.size(1))};
}

bool any_weighted(const at::Tensor& weights) {
  const std::span<const float> list(weights.const_data_ptr<float>(),
                                    static_cast<std::size_t>(weights.numel()));
  return std::ranges::any_of(list, [](float weight) { return weight != 1.0F; });
}

// "embedding:cat" as "cat"; empty for what else tokens hold.
std::string embedding_of(const std::string& key) {
  const bool is_one = key.starts_with(models::kEmbeddingWord);
  return is_one ? key.substr(models::kEmbeddingWord.size()) : "";
}

class TextEncoder final : public Node {
 public:
  explicit TextEncoder(const Params& params)
      : penultimate_(params.get<std::string>("states") == kPenultimate),
        clip_skip_(params.get<std::int64_t>("clip_skip")),
        embeddings_(params.find<std::string>("embeddings").value_or("")) {}

  Forecast forecast(const ForecastContext& context) const override {
    const models::ClipTextConfig config =
        models::read_clip_text_config(context.component("encoder"));
    const models::ClipTextChoice choice = choice_in(config);
    const WeightView weights = context.weights("encoder");
    const models::ClipText encoder(weights, config, choice);
    weights.finish();
    const std::vector<std::int64_t>& ids = context.bundle("tokens").at("ids").shape;  // [K, L]
    if (ids[1] > config.max_tokens)
      throw WeightError(str("chunks of ", ids[1], " tokens: expected at most ", config.max_tokens,
                            ", as 'max_position_embeddings' says; take the model's own tokenizer"));
    const TensorSpec hidden{{1, ids[0] * ids[1], config.width}, context.dtype()};
    BundleSpec condition = {{"hidden", hidden}};
    if (config.projection > 0)
      condition["pooled"] = TensorSpec{{1, config.projection}, context.dtype()};
    models::ClipTextConfig used = config;
    if (config.projection == 0) used.layers -= choice.skipped;
    const models::Cost cost = models::clip_text_cost(used, ids[0] + 1, ids[1], context.dtype(),
                                                     models::branch_load(weights));
    // Weighting adds the empty prompt to the batch; after that it works on copies in float32, and
    // only then is there an output.  Where states are pooled, the last are there besides.
    const Bytes states = hidden_bytes({ids[0] + 1, ids[1], config.width});
    const Bytes narrow = states / 4 * static_cast<Bytes>(c10::elementSize(context.dtype()));
    const Bytes last = config.projection > 0 ? narrow : 0;
    return {.outputs = {{"condition", std::move(condition)}},
            .workspace = std::max(3 * states, cost.workspace - hidden.bytes()) + last +
                         embedding_bytes(context.bundle("tokens"), config),
            .work = cost.work,
            .cpu_workspace = cost.cpu_workspace};
  }

  void run(RunContext& context) const override {
    const models::ClipTextConfig config =
        models::read_clip_text_config(context.component("encoder"));
    const models::ClipText encoder(context.weights("encoder"), config, choice_in(config));
    const Bundle& tokens = context.bundle("tokens");
    const at::Tensor ids = tokens.at("ids").contiguous();          // [K, L]
    const at::Tensor weights = tokens.at("weights").contiguous();  // [K, L]
    check_ids(ids, config.vocabulary);
    const models::TokenVectors others = token_vectors(tokens, config, context);
    models::ClipTextStates states;
    if (any_weighted(weights)) {
      const at::Tensor empty = tokens.at("empty").contiguous();  // [1, L]
      check_ids(empty, config.vocabulary);
      states = encoder(at::cat({ids, empty}).to(context.device()), others);
      states.hidden = weighted(states.hidden, weights.to(context.device()));
    } else {
      states = encoder(ids.to(context.device()), others);
    }
    Bundle condition;
    condition["hidden"] =
        states.hidden.to(context.dtype()).view({1, -1, config.width});  // [1, K*L, D]
    if (encoder.text_projection) {
      const std::int64_t end = models::end_position(first_row(ids), config.end_token);
      condition["pooled"] = (*encoder.text_projection)(states.last[0].narrow(0, end, 1));  // [1, P]
    }
    context.output("condition", std::move(condition));
  }

 private:
  at::Tensor read_embedding(const std::string& name, const models::ClipTextConfig& config) const {
    const auto place = models::find_embedding(embeddings_, name);
    if (!place) models::refuse_embedding(embeddings_, name);
    return models::read_embedding(*place, config.width, config.projection > 0);  // [k, D]
  }

  // The vectors of all places in float32, once more in the dtype of the run, and the places; of one
  // embedding the file's.  Checks the files on the way.
  Bytes embedding_bytes(const BundleSpec& tokens, const models::ClipTextConfig& config) const {
    Bytes bytes = 0;
    for (const auto& [key, places] : tokens) {
      const std::string name = embedding_of(key);
      if (name.empty()) continue;
      const at::Tensor vectors = read_embedding(name, config);
      if (vectors.size(0) != places.shape[1])
        throw GraphError(str("embedding '", name, "': has ", vectors.size(0), " vectors: expected ",
                             places.shape[1], ", as its tokens have"));
      bytes += places.count() * (config.width * 2 + 2) * 4 + static_cast<Bytes>(vectors.nbytes());
    }
    return bytes;
  }

  models::TokenVectors token_vectors(const Bundle& tokens, const models::ClipTextConfig& config,
                                     const RunContext& context) const {
    std::vector<std::int64_t> places;
    std::vector<at::Tensor> rows;  // [1, D] each
    for (const auto& [key, tensor] : tokens) {
      const std::string name = embedding_of(key);
      if (name.empty()) continue;
      const at::Tensor vectors = read_embedding(name, config).to(at::kFloat);
      const at::Tensor all = tensor.contiguous();  // [m, k]
      for (std::int64_t i = 0; i < all.numel(); ++i) {
        const std::int64_t place = all.const_data_ptr<std::int64_t>()[i];
        if (place < 0) continue;  // the prompt was cut
        places.push_back(place);
        rows.push_back(vectors.narrow(0, i % vectors.size(0), 1));
      }
    }
    if (rows.empty()) return {};
    return {at::tensor(places, at::kLong).to(context.device()), at::cat(rows).to(context.device())};
  }

  models::ClipTextChoice choice_in(const models::ClipTextConfig& config) const {
    const std::int64_t skipped = clip_skip_ + (penultimate_ ? 1 : 0);
    if (skipped > 0 && skipped >= config.layers)
      throw GraphError(str("'clip_skip' is ", clip_skip_, ": expected at most ",
                           config.layers - skipped + clip_skip_ - 1, ", as the encoder has ",
                           config.layers, " layers"));
    return {.skipped = skipped, .normed = !penultimate_};
  }

  // Moves each token's state away from, or towards, that of the empty prompt at its position.
  // states [K+1, L, D] with the empty prompt last, weights [K, L] -> [K, L, D] float32
  static at::Tensor weighted(const at::Tensor& states, const at::Tensor& weights) {
    const std::int64_t K = weights.size(0);
    const at::Tensor empty = states.narrow(0, K, 1).to(at::kFloat);  // [1, L, D]
    return states.narrow(0, 0, K).sub(empty).mul_(weights.unsqueeze(-1)).add_(empty);
  }

  bool penultimate_;
  std::int64_t clip_skip_;
  std::filesystem::path embeddings_;
};

void describe(std::vector<NodeDescriptor>& nodes) {
  nodes.push_back(
      {.id = "text_encoder",
       .summary = "Turns tokens into the states that a UNet attends to.",
       .inputs = {{"tokens", port::kTokens, "the prompt, in chunks"}},
       .outputs = {{"condition", port::kCondition,
                    "the states of all chunks in a row, and the pooled state of the first where "
                    "the encoder has a projection"}},
       .params = {{.name = "states",
                   .fallback = std::string(kFinal),
                   .help = "`final`: of the last layer, normed, as SD 1 and 2 take them; "
                           "`penultimate`: of the layer before, as it leaves them, for SDXL.",
                   .choices = {kFinal, kPenultimate}},
                  {.name = "clip_skip",
                   .fallback = std::int64_t{0},
                   .help = "How many layers earlier to take the states.",
                   .min = 0,
                   .display_max = 4},
                  {.name = "embeddings",
                   .fallback = std::string(),
                   .help = "The folder or file of the embeddings that the prompt names, as the "
                           "tokenizer has it.",
                   .optional = true,
                   .file = true}},
       .slots = {{"encoder", "a text encoder of CLIP's kind", true}},
       .phase = Phase::Encode,
       .create = [](const Params& params) { return std::make_unique<TextEncoder>(params); }});
}

}  // namespace
}  // namespace emulsion

EMULSION_PLUGIN(emulsion::describe)

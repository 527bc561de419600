#include <span>

#include "models/clip_text.h"
#include "models/cost.h"
#include "models/ops.h"

namespace emulsion {
namespace {

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

bool any_weighted(const at::Tensor& weights) {
  const std::span<const float> list(weights.const_data_ptr<float>(),
                                    static_cast<std::size_t>(weights.numel()));
  return std::ranges::any_of(list, [](float weight) { return weight != 1.0F; });
}

class TextEncoder final : public Node {
 public:
  Forecast forecast(const ForecastContext& context) const override {
    const models::ClipTextConfig config =
        models::read_clip_text_config(context.component("encoder"));
    const WeightView weights = context.weights("encoder");
    const models::ClipText encoder(weights, config);
    weights.finish();
    const std::vector<std::int64_t>& ids = context.bundle("tokens").at("ids").shape;  // [K, L]
    if (ids[1] > config.max_tokens)
      throw WeightError(str("chunks of ", ids[1], " tokens: expected at most ", config.max_tokens,
                            ", as 'max_position_embeddings' says; take the model's own tokenizer"));
    const TensorSpec hidden{{1, ids[0] * ids[1], config.width}, context.dtype()};
    // Weighting adds the empty prompt to the batch; after that it works on copies in float32, and
    // only then is there an output.
    const Bytes weighting = 3 * hidden_bytes({ids[0] + 1, ids[1], config.width});
    const models::Cost cost = models::clip_text_cost(config, ids[0] + 1, ids[1], context.dtype());
    return {.outputs = {{"condition", BundleSpec{{"hidden", hidden}}}},
            .workspace = std::max(weighting, cost.workspace - hidden.bytes()),
            .work = cost.work};
  }

  void run(RunContext& context) const override {
    const models::ClipTextConfig config =
        models::read_clip_text_config(context.component("encoder"));
    const models::ClipText encoder(context.weights("encoder"), config);
    const Bundle& tokens = context.bundle("tokens");
    const at::Tensor ids = tokens.at("ids").contiguous();          // [K, L]
    const at::Tensor weights = tokens.at("weights").contiguous();  // [K, L]
    check_ids(ids, config.vocabulary);
    at::Tensor hidden;  // [K, L, D]
    if (any_weighted(weights)) {
      const at::Tensor empty = tokens.at("empty").contiguous();  // [1, L]
      check_ids(empty, config.vocabulary);
      hidden = weighted(encoder(at::cat({ids, empty}).to(context.device())),
                        weights.to(context.device()));
    } else {
      hidden = encoder(ids.to(context.device()));
    }
    hidden = hidden.to(context.dtype()).view({1, -1, config.width});  // [1, K*L, D]
    context.output("condition", Bundle{{"hidden", hidden}});
  }

 private:
  // Moves each token's state away from, or towards, that of the empty prompt at its position.
  // states [K+1, L, D] with the empty prompt last, weights [K, L] -> [K, L, D] float32
  static at::Tensor weighted(const at::Tensor& states, const at::Tensor& weights) {
    const std::int64_t K = weights.size(0);
    const at::Tensor empty = states.narrow(0, K, 1).to(at::kFloat);  // [1, L, D]
    return states.narrow(0, 0, K).sub(empty).mul_(weights.unsqueeze(-1)).add_(empty);
  }
};

void describe(std::vector<NodeDescriptor>& nodes) {
  nodes.push_back(
      {.id = "text_encoder",
       .summary = "Turns tokens into the states that a UNet attends to.",
       .inputs = {{"tokens", port::kTokens, "the prompt, in chunks"}},
       .outputs = {{"condition", port::kCondition, "the states of all chunks in a row"}},
       .slots = {{"encoder", "a text encoder of CLIP's kind", true}},
       .phase = Phase::Encode,
       .create = [](const Params&) { return std::make_unique<TextEncoder>(); }});
}

}  // namespace
}  // namespace emulsion

EMULSION_PLUGIN(emulsion::describe)

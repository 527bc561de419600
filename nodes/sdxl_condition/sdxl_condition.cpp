#include "models/config_json.h"
#include "models/configs.h"
#include "models/ops.h"

namespace emulsion {
namespace {

bool zeroes_empty_prompt(const Component& index) {
  return models::ConfigJson(index).flag("force_zeros_for_empty_prompt", true);
}

// Joins what the text encoders of SDXL give, and adds the sizes that its UNet is told.
class SdxlCondition final : public Node {
 public:
  explicit SdxlCondition(const Params& params)
      : aesthetic_score_(params.find<double>("aesthetic_score")),
        crop_top_(params.get<std::int64_t>("crop_top")),
        crop_left_(params.get<std::int64_t>("crop_left")),
        original_(sides_of(params, "original")),
        target_(sides_of(params, "target")) {}

  Forecast forecast(const ForecastContext& context) const override {
    models::read_vae_config(context.component("vae"));
    is_zero(context);
    BundleSpec condition = context.bundle("first");
    if (context.has("second")) {
      const BundleSpec& second = context.bundle("second");
      condition["hidden"] = joined(condition.at("hidden"), second.at("hidden"));
      if (second.contains("pooled")) condition["pooled"] = second.at("pooled");
    }
    if (!condition.contains("pooled"))
      throw WeightError(
          str("no text encoder has a projection: expected one of class "
              "'CLIPTextModelWithProjection', as SDXL's last one is"));
    const std::vector<std::int64_t>& latent = context.tensor("latent").shape;  // [B, C, h, w]
    if (latent.size() != 4)
      throw GraphError(str("input 'latent': expected [B, C, h, w], got ", shape_text(latent)));
    condition["time_ids"] = TensorSpec{{1, aesthetic_score_ ? 5 : 6}, at::kFloat};
    return {.outputs = {{"condition", condition}}, .workspace = kIdsOnHost};
  }

  void run(RunContext& context) const override {
    Bundle condition = context.bundle("first");
    if (context.has("second")) {
      const Bundle& second = context.bundle("second");
      condition["hidden"] = at::cat({condition.at("hidden"), second.at("hidden")}, -1);
      if (second.contains("pooled")) condition["pooled"] = second.at("pooled");
    }
    if (is_zero(context))
      for (auto& [name, tensor] : condition) tensor = at::zeros(tensor.sizes(), tensor.options());
    const at::Tensor ids = at::tensor(time_ids(context), at::kFloat).unsqueeze(0);  // [1, n]
    condition["time_ids"] = ids.to(context.device());
    context.output("condition", std::move(condition));
  }

 private:
  struct Sides {
    std::optional<std::int64_t> height, width;  // pixels; none: the picture's
  };

  static constexpr Bytes kIdsOnHost = 64;

  static Sides sides_of(const Params& params, const std::string& what) {
    return {params.find<std::int64_t>(what + "_height"),
            params.find<std::int64_t>(what + "_width")};
  }

  // [1, S, D] each -> [1, S, D + D']
  static TensorSpec joined(TensorSpec first, const TensorSpec& second) {
    if (first.shape[1] != second.shape[1])
      throw WeightError(str("input 'second': expected states of ", first.shape[1],
                            " tokens, as the first has, got ", second.shape[1],
                            "; take both tokenizers of one model"));
    first.shape[2] += second.shape[2];
    return first;
  }

  // The context is of either kind.
  template <class Context>
  static bool is_zero(const Context& context) {
    return context.has("text") && context.template value<std::string>("text").empty() &&
           zeroes_empty_prompt(context.component("index"));
  }

  // In the order that SDXL was trained with.
  std::vector<double> time_ids(const RunContext& context) const {
    const at::Tensor& latent = context.tensor("latent");
    const std::int64_t side = models::read_vae_config(context.component("vae")).upscale();
    const std::int64_t height = side * latent.size(2), width = side * latent.size(3);
    std::vector<double> ids;
    const auto add = [&](std::int64_t pixels) { ids.push_back(static_cast<double>(pixels)); };
    add(original_.height.value_or(height));
    add(original_.width.value_or(width));
    add(crop_top_);
    add(crop_left_);
    if (aesthetic_score_) {
      ids.push_back(*aesthetic_score_);
    } else {
      add(target_.height.value_or(height));
      add(target_.width.value_or(width));
    }
    return ids;
  }

  std::optional<double> aesthetic_score_;
  std::int64_t crop_top_, crop_left_;
  Sides original_, target_;
};

ParamSpec side_param(const std::string& name, const std::string& help) {
  return {.name = name,
          .fallback = std::int64_t{1024},
          .help = help + " Without a value, the picture's.",
          .optional = true,
          .min = 1,
          .max = 65536,
          .display_min = 256,
          .display_max = 4096,
          .unit = "pixels"};
}

ParamSpec crop_param(const std::string& name, const std::string& side) {
  return {
      .name = name,
      .fallback = std::int64_t{0},
      .help = "What is said to be cut off at the " + side + "; 0 puts the subject in the middle.",
      .min = 0,
      .max = 65536,
      .display_max = 1024,
      .unit = "pixels"};
}

void describe(std::vector<NodeDescriptor>& nodes) {
  const std::string original = "Of the picture that this is said to be made from.";
  const std::string target = "Of the picture that is wanted.";
  nodes.push_back(
      {.id = "sdxl_condition",
       .summary = "Joins the states of two text encoders, and adds the sizes that SDXL is told.",
       .inputs = {{"first", port::kCondition, "of the first or only text encoder"},
                  {"second", port::kCondition, "of the second one, whose pooled state is taken",
                   true},
                  {"latent", port::kLatent, "tells the picture's size"},
                  {"text", port::kText,
                   "the prompt, where an empty one is to give zeros if the model says "
                   "`force_zeros_for_empty_prompt`; a space asks for the states of no words",
                   true}},
       .outputs = {{"condition", port::kCondition}},
       .params = {side_param("original_width", original),
                  side_param("original_height", original),
                  crop_param("crop_top", "top"),
                  crop_param("crop_left", "left"),
                  side_param("target_width", target),
                  side_param("target_height", target),
                  {.name = "aesthetic_score",
                   .fallback = 6.0,
                   .help = "Refiners only, which are told this instead of the wanted size: how "
                           "good the picture is said to be, 6 for the prompt and 2.5 for the "
                           "negative one.",
                   .optional = true,
                   .min = 0.0,
                   .max = 10.0}},
       .slots = {{"index", "the model's model_index.json"}, {"vae", "tells the picture's size"}},
       .phase = Phase::Encode,
       .create = [](const Params& params) { return std::make_unique<SdxlCondition>(params); }});
}

}  // namespace
}  // namespace emulsion

EMULSION_PLUGIN(emulsion::describe)

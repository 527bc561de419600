#include "conditions.h"
#include "evaluation.h"
#include "models/cost.h"
#include "models/ops.h"
#include "models/unet.h"
#include "shortcuts.h"
#include "skipping.h"

namespace emulsion {
namespace {

constexpr PortType kState{"unet_state", Holding::Bundle, "what one step keeps for the next"};

// Where on the schedule an evaluation stands.
struct Moment {
  double sigma, timestep;
};

Moment moment_at(const Bundle& schedule, const LoopSpan& span, std::int64_t index) {
  const at::Tensor& sigmas = schedule.at("sigmas");        // [n+1] float64, on the host
  const at::Tensor& timesteps = schedule.at("timesteps");  // [n] float64, on the host
  const std::int64_t place = span.first + index;
  if (index < 0 || place >= timesteps.numel())
    throw GraphError(
        str("input 'index': expected 0 to ", timesteps.numel() - span.first - 1, ", got ", index));
  return {sigmas.const_data_ptr<double>()[place], timesteps.const_data_ptr<double>()[place]};
}

// From what the model predicts for sigma's noise to the sample without it, in float32.  The model
// sees x / sqrt(sigma^2 + 1), the variance-preserving form.  `prediction` is used up.
at::Tensor denoised_from(at::Tensor prediction, const at::Tensor& x, double sigma,
                         models::Prediction kind) {
  const double variance = sigma * sigma + 1;
  switch (kind) {
    case models::Prediction::Epsilon: return prediction.mul_(-sigma).add_(x);
    case models::Prediction::Velocity:  // Salimans & Ho 2022, appendix D, in the form above
      return prediction.mul_(-sigma / std::sqrt(variance)).add_(x, 1 / variance);
    case models::Prediction::Sample: break;
  }
  return prediction;
}

class UnetStep final : public Node {
 public:
  explicit UnetStep(const Params& params)
      : guidance_{params.get<double>("guidance"), params.get<double>("guidance_rescale")},
        shortcuts_(params),
        merge_seed_(static_cast<std::uint64_t>(params.get<std::int64_t>("merge_seed"))) {}

  Forecast forecast(const ForecastContext& context) const override {
    const models::UnetConfig config = models::read_unet_config(context.component("unet"));
    models::read_prediction(context.component("config"));
    const WeightView weights = context.weights("unet");
    const models::Unet unet(weights, config);
    weights.finish();
    const TensorSpec& latent = context.tensor("latent");
    if (latent.shape.size() != 4 || latent.shape[1] != config.in_channels)
      throw GraphError(str("input 'latent': expected [B, ", config.in_channels, ", h, w], got ",
                           shape_text(latent.shape)));
    const Tokens tokens = tokens_of(context, config);
    // In float32, and as many of the model's input: x, both predictions and their difference.
    const Bytes latents = 8 * latent.count() * 4;
    Forecast forecast{.outputs = {{"denoised", TensorSpec{latent.shape, at::kFloat}},
                                  {"state", state_spec(context, config)}},
                      .passes = 0};
    const std::map<StepKind, double> kinds = shortcuts_.shares(span_of(context));
    for (const auto& [kind, share] : kinds)
      add_steps(forecast, context, config, tokens, kind, share);
    add_text(forecast, context, config, tokens, kinds);
    forecast.workspace += latents + conditions::bytes(context, config, tokens.most());
    forecast.work.traffic += static_cast<double>(3 * latents);  // scaled, guided, denoised
    return forecast;
  }

  void run(RunContext& context) const override {
    const at::Tensor& x = context.tensor("latent");  // [B, C, h, w]
    const LoopSpan span = span_of(context);
    const std::int64_t index = context.value<std::int64_t>("index");
    const Moment moment = moment_at(context.bundle("schedule"), span, index);
    const at::Tensor scaled =
        x.mul(1 / std::sqrt(moment.sigma * moment.sigma + 1)).to(context.dtype());
    Result result = shortcuts_.may_skip(span, index) ? skipped(context, scaled, index) : Result{};
    if (!result.denoised.defined()) result = evaluated(context, scaled, span, moment, index);
    if (shortcuts_.any() && index + 1 == span.count)
      context.warn(shortcuts_.told(
          span, shortcuts_.skips() ? skipping::skipped_steps(result.state) : std::vector<bool>()));
    context.output("denoised", std::move(result.denoised));
    context.output("state", std::move(result.state));
  }

 private:
  // Of the two conditions.
  struct Tokens {
    std::int64_t negative, positive;

    std::int64_t most() const { return std::max(negative, positive); }
  };

  struct Result {
    at::Tensor denoised;  // [B, C, h, w], float32
    Bundle state;
  };

  // That of the step before, if little of it is expected to change, else none.
  Result skipped(const RunContext& context, const at::Tensor& scaled, std::int64_t index) const {
    const skipping::State state(state_of(context));
    if (!state.holds(scaled, shortcuts_.skip_threshold())) return {};
    return {state.denoised(), state.skipped(index)};
  }

  Result evaluated(RunContext& context, const at::Tensor& scaled, const LoopSpan& span,
                   const Moment& moment, std::int64_t index) const {
    const models::Unet unet(context.weights("unet"),
                            models::read_unet_config(context.component("unet")));
    const StepKind step = shortcuts_.kind(span, index);
    KeptFeatures kept{.branch = shortcuts_.cache_branch(), .reuses = step.reuses, .maps = {}};
    if (step.reuses) kept.maps = state_of(context);
    const auto place = static_cast<std::uint64_t>(span.first + index);
    const Evaluation predict(
        context, unet,
        {.timestep = moment.timestep,
         .guidance = step.guided ? guidance_ : Guidance{},
         .kept = shortcuts_.caches() ? &kept : nullptr,
         .merging = {.ratio = shortcuts_.merge_ratio(), .seed = merge_seed_ + place},
         .memo = keeps_text(context, span) ? &context.memo() : nullptr});
    const models::Prediction kind = models::read_prediction(context.component("config"));
    const at::Tensor denoised =
        denoised_from(predict(scaled), context.tensor("latent"), moment.sigma, kind).contiguous();
    if (!shortcuts_.skips()) return {denoised, std::move(kept.maps)};
    const models::Evaluated now{scaled, denoised};
    if (index == 0) return {denoised, skipping::first_state(now, span.total)};
    return {denoised,
            skipping::State(state_of(context)).evaluated(now, shortcuts_.steady(span, index))};
  }

  static const Bundle& state_of(const RunContext& context) {
    if (!context.has("state"))
      throw GraphError(
          "input 'state': expected what the step before gave, got none; carry the "
          "output 'state' from one iteration to the next");
    return context.bundle("state");
  }

  // Whether keys and values of the conditions are made once for all steps.
  template <class Context>
  static bool keeps_text(const Context& context, const LoopSpan& span) {
    return span.count > 1 && context.variant() != kOneByOne;
  }

  // How often the UNet is evaluated in a step, and on how many samples at once.
  struct Evaluations {
    std::int64_t batch;
    double count;
  };

  static Evaluations evaluations(const std::string& variant, std::int64_t pictures,
                                 const Tokens& tokens, const StepKind& kind) {
    const int conditions = kind.guided ? 2 : 1;
    if (variant == kOneByOne) return {1, static_cast<double>(conditions * pictures)};
    if (kind.guided && batches(variant, tokens.negative, tokens.positive)) return {2 * pictures, 1};
    return {pictures, static_cast<double>(conditions)};
  }

  Tokens tokens_of(const ForecastContext& context, const models::UnetConfig& config) const {
    const std::int64_t positive = conditions::tokens_of(context, "positive", config);
    if (!shortcuts_.guides()) return {positive, positive};
    return {conditions::tokens_of(context, "negative", config), positive};
  }

  // The share of a loop's steps that are of one kind.
  void add_steps(Forecast& forecast, const ForecastContext& context,
                 const models::UnetConfig& config, const Tokens& tokens, const StepKind& kind,
                 double share) const {
    const std::vector<std::int64_t>& latent = context.tensor("latent").shape;
    const WeightView weights = context.weights("unet");
    const Evaluations step = evaluations(context.variant(), latent[0], tokens, kind);
    const models::MapBatch batch{step.batch, latent[2], latent[3]};
    models::UnetShortcuts shortcuts{.outside = {},
                                    .merge_ratio = shortcuts_.merge_ratio(),
                                    .keeps_text = keeps_text(context, span_of(context))};
    if (kind.reuses) shortcuts.outside = shortcuts_.cache_branch();
    models::Cost cost = models::unet_cost(config, batch, tokens.most(), context.dtype(),
                                          models::branch_load(weights), shortcuts);
    if (kind.reuses && step.batch > latent[0])  // the features of both conditions side by side
      cost.workspace +=
          models::deep_features_spec(config, batch, *shortcuts.outside, context.dtype()).bytes();
    const Bytes on_cpu =
        std::max(forecast.workspace + forecast.cpu_workspace, cost.workspace + cost.cpu_workspace);
    forecast.workspace = std::max(forecast.workspace, cost.workspace);
    forecast.cpu_workspace = on_cpu - forecast.workspace;
    forecast.work += models::repeated(cost.work, share * step.count);
    forecast.passes +=
        share * step.count *
        (kind.reuses ? models::share_outside(config, weights, *shortcuts.outside) : 1);
  }

  // What is made once for all steps, and the conditions that it belongs to.
  void add_text(Forecast& forecast, const ForecastContext& context,
                const models::UnetConfig& config, const Tokens& tokens,
                const std::map<StepKind, double>& kinds) const {
    const LoopSpan span = span_of(context);
    if (!keeps_text(context, span)) return;
    const auto has = [&](bool guided) {
      return std::ranges::any_of(kinds,
                                 [&](const auto& entry) { return entry.first.guided == guided; });
    };
    const bool together = batches(context.variant(), tokens.negative, tokens.positive);
    std::int64_t rows = has(false) || !together ? tokens.positive : 0;
    if (has(true)) rows += together ? 2 * tokens.most() : tokens.negative;
    const models::TextCost text = models::unet_text_cost(
        config, rows, context.dtype(), models::branch_load(context.weights("unet")));
    forecast.memo = text.bytes;
    for (const char* port : {"positive", "negative"})
      if (context.has(port)) forecast.memo += context.bundle(port).at("hidden").bytes();
    forecast.work += models::repeated(text.work, 1 / static_cast<double>(span.count));
  }

  BundleSpec state_spec(const ForecastContext& context, const models::UnetConfig& config) const {
    const TensorSpec& spec = context.tensor("latent");
    if (shortcuts_.skips())
      return skipping::state_spec(spec, context.dtype(), span_of(context).total);
    if (!shortcuts_.caches()) return {};
    const std::vector<std::int64_t>& latent = spec.shape;
    const TensorSpec map = models::deep_features_spec(config, {latent[0], latent[2], latent[3]},
                                                      shortcuts_.cache_branch(), context.dtype());
    BundleSpec state{{"positive", map}};
    if (shortcuts_.guides()) state.emplace("negative", map);
    return state;
  }

  Guidance guidance_;
  Shortcuts shortcuts_;
  std::uint64_t merge_seed_;
};

std::vector<ParamSpec> params() {
  std::vector<ParamSpec> list = {
      {.name = "guidance",
       .fallback = 7.5,
       .help = "How far to go from the negative to the positive prompt. At 1 the "
               "negative one is not used, and a step takes half the time.",
       .min = 1.0,
       .display_max = 20.0},
      {.name = "guidance_rescale",
       .fallback = 0.0,
       .help = "How much of the excess of contrast that guidance brings to take back; "
               "0.7 for models with zero terminal SNR.",
       .min = 0.0,
       .max = 1.0}};
  for (ParamSpec& param : shortcut_params()) list.push_back(std::move(param));
  list.push_back({.name = "merge_seed",
                  .fallback = std::int64_t{0},
                  .help = "Draws the tokens that others are merged into.",
                  .min = 0});
  return list;
}

void describe(std::vector<NodeDescriptor>& nodes) {
  nodes.push_back(
      {.id = "unet_step",
       .summary = "Removes the noise from a latent as far as one evaluation of a UNet can tell.",
       .inputs = {{"latent", port::kLatent, "with noise: x = x0 + sigma * n"},
                  {"schedule", port::kSchedule},
                  {"index", port::kInt, "which of the schedule's steps"},
                  {"iterations", port::kInt,
                   "steps that the loop takes; all that are left if absent", true},
                  {"positive", port::kCondition, "what the picture shall show"},
                  {"negative", port::kCondition, "what it shall not; needed unless guidance is 1",
                   true},
                  {"state", kState, "what the step before gave, for what reuses it", true}},
       .outputs = {{"denoised", port::kLatent, "the model's guess of x0"},
                   {"state", kState, "for the next step"}},
       .params = params(),
       .slots = {{"unet", "a UNet2DConditionModel", true},
                 {"config", "the scheduler's config, for what the UNet predicts"}},
       .variants = {kBatched, kSequential, kOneByOne},
       .phase = Phase::Denoise,
       .create = [](const Params& params) { return std::make_unique<UnetStep>(params); }});
}

}  // namespace
}  // namespace emulsion

EMULSION_PLUGIN(emulsion::describe)

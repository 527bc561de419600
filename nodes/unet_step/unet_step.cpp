#include "models/cost.h"
#include "models/ops.h"
#include "models/unet.h"

namespace emulsion {
namespace {

const char* const kBatched = "batched";
const char* const kSequential = "sequential";
const char* const kOneByOne = "one_by_one";

// Times that the states must be repeated, so that both conditions have as many tokens; 0 where no
// whole number does it.  Softmax over repeated keys and values gives what it gave before.
std::int64_t repeats(std::int64_t tokens, std::int64_t other) {
  if (tokens >= other) return 1;
  return other % tokens == 0 ? other / tokens : 0;
}

bool can_batch(std::int64_t negative, std::int64_t positive) {
  return repeats(negative, positive) > 0 && repeats(positive, negative) > 0;
}

// Where on the schedule an evaluation stands.
struct Moment {
  double sigma, timestep;
};

Moment moment_at(const Bundle& schedule, std::int64_t index) {
  const at::Tensor& sigmas = schedule.at("sigmas");        // [n+1] float64, on the host
  const at::Tensor& timesteps = schedule.at("timesteps");  // [n] float64, on the host
  const auto found = schedule.find("first");               // [1] float64, on the host
  const std::int64_t first =
      found == schedule.end() ? 0
                              : static_cast<std::int64_t>(*found->second.const_data_ptr<double>());
  const std::int64_t place = first + index;
  if (index < 0 || place >= timesteps.numel())
    throw GraphError(
        str("input 'index': expected 0 to ", timesteps.numel() - first - 1, ", got ", index));
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

// "Common Diffusion Noise Schedules and Sample Steps are Flawed" (Lin et al. 2023), section 3.4:
// guidance makes pictures too bright; each sample goes the share `amount` of the way to the spread
// that it has without guidance.  [B, C, h, w] each, in place
void rescale_(at::Tensor& guided, const at::Tensor& positive, double amount) {
  const auto spread = [](const at::Tensor& x) { return x.std({1, 2, 3}, true, true); };
  const at::Tensor ratio = spread(positive).div_(spread(guided));  // [B, 1, 1, 1]
  guided.mul_(ratio.mul_(amount).add_(1 - amount));
}

class UnetStep final : public Node {
 public:
  explicit UnetStep(const Params& params)
      : guidance_(params.get<double>("guidance")),
        rescale_amount_(params.get<double>("guidance_rescale")) {}

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
    const std::int64_t positive = tokens_of(context, "positive", config);
    const std::int64_t negative = guided() ? tokens_of(context, "negative", config) : positive;
    const Evaluations plan = evaluations(context.variant(), latent.shape[0], negative, positive);
    const models::MapBatch batch{plan.batch, latent.shape[2], latent.shape[3]};
    // In float32, and as many of the model's input: x, both predictions and their difference.
    const Bytes latents = 8 * latent.count() * 4;
    const std::int64_t tokens = std::max(positive, negative);
    const models::Cost cost =
        models::unet_cost(config, batch, tokens, context.dtype(), models::branch_load(weights));
    Forecast forecast{
        .outputs = {{"denoised", TensorSpec{latent.shape, at::kFloat}}},
        .workspace = latents + context_bytes(context, config, tokens) + cost.workspace,
        .work = models::repeated(cost.work, plan.count),
        .passes = plan.count,
        .cpu_workspace = cost.cpu_workspace};
    forecast.work.traffic += static_cast<double>(3 * latents);  // scaled, guided, denoised
    return forecast;
  }

  void run(RunContext& context) const override {
    const models::Unet unet(context.weights("unet"),
                            models::read_unet_config(context.component("unet")));
    const at::Tensor& x = context.tensor("latent");  // [B, C, h, w]
    const Moment moment =
        moment_at(context.bundle("schedule"), context.value<std::int64_t>("index"));
    const at::Tensor scaled =
        x.mul(1 / std::sqrt(moment.sigma * moment.sigma + 1)).to(context.dtype());
    const at::Tensor prediction = context.variant() == kOneByOne
                                      ? one_by_one(context, unet, scaled, moment)
                                      : predict(context, unet, scaled, moment);
    const models::Prediction kind = models::read_prediction(context.component("config"));
    context.output("denoised", denoised_from(prediction, x, moment.sigma, kind).contiguous());
  }

 private:
  // How often the UNet is evaluated, and on how many samples at once.
  struct Evaluations {
    std::int64_t batch;
    double count;
  };

  Evaluations evaluations(const std::string& variant, std::int64_t pictures, std::int64_t negative,
                          std::int64_t positive) const {
    const int conditions = guided() ? 2 : 1;
    if (variant == kOneByOne) return {1, static_cast<double>(conditions * pictures)};
    if (guided() && variant == kBatched && can_batch(negative, positive)) return {2 * pictures, 1};
    return {pictures, static_cast<double>(conditions)};
  }

  bool guided() const { return guidance_ != 1.0; }

  static std::int64_t tokens_of(const ForecastContext& context, const char* port,
                                const models::UnetConfig& config) {
    if (!context.has(port))
      throw GraphError(str("input '", port,
                           "': expected a condition, got none; connect it, or set "
                           "'guidance' to 1"));
    const std::vector<std::int64_t>& hidden = context.bundle(port).at("hidden").shape;  // [1, S, D]
    if (config.context_width() != 0 && hidden[2] != config.context_width())
      throw WeightError(str("input '", port, "': expected states of width ", config.context_width(),
                            ", got ", hidden[2],
                            "; the text encoder and the UNet belong to different models"));
    if (config.added_width != 0) check_added(context, port, config);
    return hidden[1];
  }

  static void check_added(const ForecastContext& context, const char* port,
                          const models::UnetConfig& config) {
    const BundleSpec& condition = context.bundle(port);
    const auto pooled = condition.find("pooled"), ids = condition.find("time_ids");
    if (pooled == condition.end() || ids == condition.end())
      throw GraphError(str("input '", port, "': expected {hidden, pooled, time_ids}, got ",
                           to_text(ValueSpec(condition)),
                           "; a UNet of SDXL needs a condition of 'sdxl_condition'"));
    const std::int64_t sizes = ids->second.shape[1], width = pooled->second.shape[1];
    if (width + sizes * config.size_width != config.added_width)
      throw WeightError(str("input '", port, "': a pooled state of ", width, " and ", sizes,
                            " sizes of ", config.size_width, " make ",
                            width + sizes * config.size_width, ": expected ", config.added_width,
                            "; base models take six sizes, refiners five with an aesthetic score"));
  }

  static Bytes context_bytes(const ForecastContext& context, const models::UnetConfig& config,
                             std::int64_t tokens) {
    const std::int64_t B = context.tensor("latent").shape[0];
    return 2 * TensorSpec{{2 * B, tokens, config.context_width()}, context.dtype()}.bytes();
  }

  // One for all samples: [1, S, D], [1, P], [1, n]
  static models::UnetCondition condition_of(const RunContext& context, const char* port) {
    const Bundle& bundle = context.bundle(port);
    models::UnetCondition condition(bundle.at("hidden").to(context.dtype()));
    if (!bundle.contains("time_ids")) return condition;
    condition.pooled = bundle.at("pooled").to(context.dtype());
    condition.time_ids = bundle.at("time_ids");
    return condition;
  }

  // sample [B, C, h, w], a condition for each or for all -> the prediction, float32 and the
  // caller's own
  static at::Tensor evaluate(const RunContext& context, const models::Unet& unet,
                             const at::Tensor& sample, const Moment& moment,
                             models::UnetCondition condition) {
    const auto checkpoint = [&] { context.check_cancelled(); };
    condition.context = condition.context.expand({sample.size(0), -1, -1}).contiguous();
    return unet(sample, moment.timestep, condition, checkpoint).to(at::kFloat);
  }

  // [B, C, h, w], float32 and the caller's own
  at::Tensor predict(const RunContext& context, const models::Unet& unet, const at::Tensor& sample,
                     const Moment& moment) const {
    return guided() ? guided_prediction(context, unet, sample, moment)
                    : evaluate(context, unet, sample, moment, condition_of(context, "positive"));
  }

  at::Tensor one_by_one(const RunContext& context, const models::Unet& unet,
                        const at::Tensor& sample, const Moment& moment) const {
    at::Tensor predictions = at::empty(sample.sizes(), sample.options().dtype(at::kFloat));
    for (std::int64_t i = 0; i < sample.size(0); ++i)
      predictions.narrow(0, i, 1).copy_(predict(context, unet, sample.narrow(0, i, 1), moment));
    return predictions;
  }

  // Classifier-free guidance (Ho & Salimans 2022, equation 6) on the prediction.
  at::Tensor guided_prediction(const RunContext& context, const models::Unet& unet,
                               const at::Tensor& sample, const Moment& moment) const {
    const models::UnetCondition negative = condition_of(context, "negative");
    const models::UnetCondition positive = condition_of(context, "positive");
    at::Tensor without, with;
    if (context.variant() == kBatched &&
        can_batch(negative.context.size(1), positive.context.size(1))) {
      const at::Tensor both = evaluate(context, unet, at::cat({sample, sample}), moment,
                                       batched(negative, positive, sample.size(0)));
      const std::vector<at::Tensor> halves = both.chunk(2);
      without = halves[0], with = halves[1];
    } else {
      without = evaluate(context, unet, sample, moment, negative);
      with = evaluate(context, unet, sample, moment, positive);
    }
    at::Tensor guided = with.sub(without).mul_(guidance_).add_(without);
    if (rescale_amount_ > 0) rescale_(guided, with, rescale_amount_);
    return guided;
  }

  // One for each of 2 B samples, the negative ones first.
  static models::UnetCondition batched(const models::UnetCondition& negative,
                                       const models::UnetCondition& positive, std::int64_t batch) {
    const auto spread = [&](const at::Tensor& states, const at::Tensor& other) {
      const std::int64_t times = repeats(states.size(1), other.size(1));
      return states.repeat({1, times, 1}).expand({batch, -1, -1});
    };
    const auto rows = [&](const at::Tensor& first, const at::Tensor& second) {
      return at::cat({first.expand({batch, -1}), second.expand({batch, -1})});
    };
    models::UnetCondition both(at::cat(
        {spread(negative.context, positive.context), spread(positive.context, negative.context)}));
    if (!positive.pooled.defined()) return both;
    both.pooled = rows(negative.pooled, positive.pooled);
    both.time_ids = rows(negative.time_ids, positive.time_ids);
    return both;
  }

  double guidance_, rescale_amount_;
};

void describe(std::vector<NodeDescriptor>& nodes) {
  nodes.push_back(
      {.id = "unet_step",
       .summary = "Removes the noise from a latent as far as one evaluation of a UNet can tell.",
       .inputs = {{"latent", port::kLatent, "with noise: x = x0 + sigma * n"},
                  {"schedule", port::kSchedule},
                  {"index", port::kInt, "which of the schedule's steps"},
                  {"positive", port::kCondition, "what the picture shall show"},
                  {"negative", port::kCondition, "what it shall not; needed unless guidance is 1",
                   true}},
       .outputs = {{"denoised", port::kLatent, "the model's guess of x0"}},
       .params = {{.name = "guidance",
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
                   .max = 1.0}},
       .slots = {{"unet", "a UNet2DConditionModel", true},
                 {"config", "the scheduler's config, for what the UNet predicts"}},
       .variants = {kBatched, kSequential, kOneByOne},
       .phase = Phase::Denoise,
       .create = [](const Params& params) { return std::make_unique<UnetStep>(params); }});
}

}  // namespace
}  // namespace emulsion

EMULSION_PLUGIN(emulsion::describe)

#include <memory>

#include "emulsion/plugin.h"
#include "models/ops.h"
#include "models/sampler.h"

namespace emulsion {
namespace {

std::vector<double> values_of(const Bundle& bundle, const std::string& name) {
  const auto found = bundle.find(name);
  if (found == bundle.end()) return {};
  const at::Tensor& tensor = found->second;
  const double* values = tensor.const_data_ptr<double>();
  return {values, values + tensor.numel()};
}

std::int64_t first_of(const Bundle& schedule) {
  const std::vector<double> first = values_of(schedule, "first");
  return first.empty() ? 0 : static_cast<std::int64_t>(first.front());
}

models::Schedule schedule_of(const Bundle& bundle) {
  models::Schedule schedule{.sigmas = values_of(bundle, "sigmas"),
                            .timesteps = values_of(bundle, "timesteps"),
                            .targets = values_of(bundle, "targets")};
  const std::size_t steps = schedule.timesteps.size();
  if (schedule.sigmas.size() != steps + 1 ||
      (!schedule.targets.empty() && schedule.targets.size() != steps))
    throw GraphError(str("input 'schedule': ", schedule.sigmas.size(), " sigmas, ", steps,
                         " timesteps and ", schedule.targets.size(),
                         " targets: expected one sigma more than timesteps, and as many targets"));
  return schedule;
}

class SamplerStep final : public Node {
 public:
  explicit SamplerStep(const Params& params) : sampler_(params.get<std::string>("sampler")) {}

  Forecast forecast(const ForecastContext& context) const override {
    const TensorSpec& latent = context.tensor("latent");
    const TensorSpec& denoised = context.tensor("denoised");
    if (latent.shape != denoised.shape)
      throw GraphError(str("input 'denoised' is ", shape_text(denoised.shape), ": expected ",
                           shape_text(latent.shape), ", as the latent"));
    const TensorSpec kept{latent.shape, at::kFloat};
    const auto config = models::scheduler_config(context.component("config"));
    const auto sampler = models::choose_sampler(config, sampler_).sampler;
    BundleSpec history;
    if (models::keeps_history(sampler)) history.emplace("denoised", kept);
    constexpr Bytes kScalars = 64;  // of the formulas; LibTorch makes tensors of them
    return {.outputs = {{"latent", kept}, {"history", std::move(history)}}, .workspace = kScalars};
  }

  void run(RunContext& context) const override {
    const auto config = models::scheduler_config(context.component("config"));
    const auto sampler = models::choose_sampler(config, sampler_).sampler;
    const at::Tensor& latent = context.tensor("latent");
    const at::Tensor& denoised = context.tensor("denoised");
    at::Tensor previous;
    Bundle history;
    if (models::keeps_history(sampler)) {
      if (context.has("history")) {
        const Bundle& kept = context.bundle("history");
        if (const auto found = kept.find("denoised"); found != kept.end()) previous = found->second;
      }
      history.emplace("denoised", denoised);
    }
    const Bundle& schedule = context.bundle("schedule");
    const models::StepPlace place = models::plan_step(
        schedule_of(schedule), first_of(schedule) + context.value<std::int64_t>("index"));
    context.output("latent", models::sampler_step(sampler, place, models::SolverOptions(config),
                                                  latent, denoised, previous));
    context.output("history", std::move(history));
  }

 private:
  std::string sampler_;
};

void describe(std::vector<NodeDescriptor>& nodes) {
  nodes.push_back(
      {.id = "sampler_step",
       .summary = "Takes one step from a noisy latent towards its denoised sample.",
       .inputs = {{"latent", port::kLatent},
                  {"denoised", port::kLatent, "What the model makes of the latent."},
                  {"schedule", port::kSchedule},
                  {"index", port::kInt, "Which of the schedule's steps to take, from 0."},
                  {"history", port::kHistory, "That of the step before; absent on the first.",
                   true}},
       .outputs = {{"latent", port::kLatent}, {"history", port::kHistory}},
       .params = {{.name = "sampler",
                   .fallback = std::string("auto"),
                   .help = "`auto`: the model's own. The same as the scheduler's.",
                   .choices = {"auto", "euler", "ddim", "dpmpp_2m"}}},
       .slots = {{"config", "The model's scheduler."}},
       .phase = Phase::Denoise,
       .create = [](const Params& params) { return std::make_unique<SamplerStep>(params); }});
}

}  // namespace
}  // namespace emulsion

EMULSION_PLUGIN(emulsion::describe)

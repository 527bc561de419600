#include <memory>

#include "emulsion/plugin.h"
#include "models/ops.h"
#include "models/schedule.h"

namespace emulsion {
namespace {

at::Tensor tensor_of(const std::vector<double>& values) {
  at::Tensor tensor = at::empty({static_cast<std::int64_t>(values.size())}, at::kDouble);
  std::copy(values.begin(), values.end(), tensor.data_ptr<double>());
  return tensor;
}

class Scheduler final : public Node {
 public:
  explicit Scheduler(const Params& params)
      : sampler_(params.get<std::string>("sampler")),
        schedule_(params.get<std::string>("schedule")),
        steps_(params.get<std::int64_t>("steps")) {}

  Forecast forecast(const ForecastContext& context) const override {
    const models::ConfigJson config = models::scheduler_config(context.component("config"));
    const models::SamplerChoice choice = models::choose_sampler(config, sampler_);
    models::make_schedule(config, choice.sampler, schedule_, steps_);
    const auto doubles = [](std::int64_t count) { return TensorSpec{{count}, at::kDouble}; };
    return {.outputs = {{"schedule", BundleSpec{{"sigmas", doubles(steps_ + 1)},
                                                {"timesteps", doubles(steps_)},
                                                {"targets", doubles(steps_)},
                                                {"initial_scale", doubles(1)}}},
                        {"iterations", steps_}},
            .workspace = models::schedule_workspace(config)};
  }

  void run(RunContext& context) const override {
    const models::ConfigJson config = models::scheduler_config(context.component("config"));
    const models::SamplerChoice choice = models::choose_sampler(config, sampler_);
    if (!choice.note.empty()) context.warn(choice.note);
    const models::Schedule schedule =
        models::make_schedule(config, choice.sampler, schedule_, steps_);
    context.output("schedule", Bundle{{"sigmas", tensor_of(schedule.sigmas)},
                                      {"timesteps", tensor_of(schedule.timesteps)},
                                      {"targets", tensor_of(schedule.targets)},
                                      {"initial_scale", tensor_of({schedule.initial_scale})}});
    context.output("iterations", steps_);
  }

 private:
  std::string sampler_, schedule_;
  std::int64_t steps_;
};

void describe(std::vector<NodeDescriptor>& nodes) {
  nodes.push_back(
      {.id = "scheduler",
       .summary = "Chooses the noise levels that the denoising steps go through.",
       .outputs = {{"schedule", port::kSchedule}, {"iterations", port::kInt, "The steps."}},
       .params = {{.name = "sampler",
                   .fallback = std::string("auto"),
                   .help = "The sampler that will take the steps; `auto`: the model's own.",
                   .choices = {"auto", "euler", "ddim", "dpmpp_2m"}},
                  {.name = "schedule",
                   .fallback = std::string("auto"),
                   .help = "How the levels are spaced; `auto`: as the model's configuration says; "
                           "`karras`: denser at low noise, over the model's whole range.",
                   .choices = {"auto", "karras", "leading", "linspace", "trailing"}},
                  {.name = "steps",
                   .fallback = std::int64_t{20},
                   .help = "How many times the model is asked.",
                   .min = 1,
                   .display_min = 1,
                   .display_max = 100}},
       .slots = {{"config", "The model's scheduler."}},
       .runs_on = Home::Host,
       .create = [](const Params& params) { return std::make_unique<Scheduler>(params); }});
}

}  // namespace
}  // namespace emulsion

EMULSION_PLUGIN(emulsion::describe)

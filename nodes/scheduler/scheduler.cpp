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
        steps_(params.get<std::int64_t>("steps")),
        begin_(params.get<double>("begin")),
        end_(params.get<double>("end")) {}

  Forecast forecast(const ForecastContext& context) const override {
    const models::ConfigJson config = models::scheduler_config(context.component("config"));
    const models::SamplerChoice choice = models::choose_sampler(config, sampler_);
    const models::Schedule schedule =
        models::make_schedule(config, choice.sampler, schedule_, steps_);
    const auto doubles = [](std::int64_t count) { return TensorSpec{{count}, at::kDouble}; };
    BundleSpec outputs = {{"sigmas", doubles(steps_ + 1)},
                          {"timesteps", doubles(steps_)},
                          {"targets", doubles(steps_)},
                          {"initial_scale", doubles(1)}};
    const models::StepRange range = range_of(config, schedule);
    if (range.first > 0) outputs["first"] = doubles(1);
    return {.outputs = {{"schedule", std::move(outputs)}, {"iterations", range.count}},
            .workspace = models::schedule_workspace(config)};
  }

  void run(RunContext& context) const override {
    const models::ConfigJson config = models::scheduler_config(context.component("config"));
    const models::SamplerChoice choice = models::choose_sampler(config, sampler_);
    if (!choice.note.empty()) context.warn(choice.note);
    const models::Schedule schedule =
        models::make_schedule(config, choice.sampler, schedule_, steps_);
    const models::StepRange range = range_of(config, schedule);
    Bundle outputs = {{"sigmas", tensor_of(schedule.sigmas)},
                      {"timesteps", tensor_of(schedule.timesteps)},
                      {"targets", tensor_of(schedule.targets)},
                      {"initial_scale", tensor_of({schedule.initial_scale})}};
    if (range.first > 0) outputs["first"] = tensor_of({static_cast<double>(range.first)});
    context.output("schedule", std::move(outputs));
    context.output("iterations", range.count);
  }

 private:
  models::StepRange range_of(const models::ConfigJson& config,
                             const models::Schedule& schedule) const {
    return models::steps_between(config, schedule, begin_, end_);
  }

  std::string sampler_, schedule_;
  std::int64_t steps_;
  double begin_, end_;
};

void describe(std::vector<NodeDescriptor>& nodes) {
  nodes.push_back(
      {.id = "scheduler",
       .summary = "Chooses the noise levels that the denoising steps go through.",
       .outputs = {{"schedule", port::kSchedule}, {"iterations", port::kInt, "The steps to take."}},
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
                   .help = "How many times the model is asked, over the whole schedule.",
                   .min = 1,
                   .display_min = 1,
                   .display_max = 100},
                  {.name = "begin",
                   .fallback = 0.0,
                   .help = "The share of the schedule that another model has taken before.",
                   .min = 0.0,
                   .max = 1.0},
                  {.name = "end",
                   .fallback = 1.0,
                   .help = "The share of the schedule at which another model goes on.",
                   .min = 0.0,
                   .max = 1.0}},
       .slots = {{"config", "The model's scheduler."}},
       .runs_on = Home::Host,
       .create = [](const Params& params) { return std::make_unique<Scheduler>(params); }});
}

}  // namespace
}  // namespace emulsion

EMULSION_PLUGIN(emulsion::describe)

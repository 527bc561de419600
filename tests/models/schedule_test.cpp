#include "models/schedule.h"

#include "check.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "models/schedule_table.h"

namespace emulsion::models {
namespace {

using nlohmann::json;

const json& reference() {
  static const json loaded = json::parse(std::ifstream("reference/schedules.json"));
  return loaded;
}

ConfigJson config_of(const std::string& text) {
  return scheduler_config({.place = "model/scheduler", .config = text, .files = {}});
}

Sampler sampler_named(const std::string& name) {
  return choose_sampler(config_of("{}"), name).sampler;
}

const std::string kBetas =
    R"("beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012)";
const std::string kPlain = "{" + kBetas + ", \"clip_sample\": false}";

std::string message_of(const std::string& config, const std::string& sampler,
                       const std::string& schedule = "auto", std::int64_t steps = 20) {
  try {
    const ConfigJson parsed = config_of(config);
    make_schedule(parsed, choose_sampler(parsed, sampler).sampler, schedule, steps);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

bool near(double got, double wanted) { return std::abs(got - wanted) <= 1e-6 * wanted; }

}  // namespace

TEST_CASE("the betas of each kind multiply to diffusers' alphas") {
  const json& table = reference()["alphas_cumprod"];
  for (const char* kind : {"linear", "scaled_linear", "squaredcos_cap_v2"}) {
    const ConfigJson config = config_of(str(R"({"beta_start": 0.00085, "beta_end": 0.012,
                                             "beta_schedule": ")",
                                            kind, "\"}"));
    const NoiseTable noise(config, Sampler::Euler);
    for (std::size_t i = 0; i < table["indexes"].size(); ++i) {
      INFO(kind, " ", i);
      const double sigma = noise.sigma(table["indexes"][i].get<double>());
      CHECK(near(1 / (1 + sigma * sigma), table[kind][i].get<double>()));
    }
  }
}

TEST_CASE("the schedules of each sampler and spacing are diffusers'") {
  for (const json& entry : reference()["samplers"]) {
    const ConfigJson config = config_of(entry["options"].dump());
    const Sampler sampler = sampler_named(entry["sampler"]);
    // Near a ratio of zero a last digit of float32, in which CPUs differ, shows in the fifth.
    const double rounding = config.flag("rescale_betas_zero_snr", false) ? 1e-5 : 1e-6;
    for (const json& wanted : entry["schedules"]) {
      const auto steps = wanted["steps"].get<std::size_t>();
      INFO(entry["sampler"], " ", entry["options"].dump(), " ", steps);
      const Schedule got = make_schedule(config, sampler, "auto", static_cast<std::int64_t>(steps));
      REQUIRE(got.timesteps.size() == steps);
      REQUIRE(got.sigmas.size() == steps + 1);
      REQUIRE(got.targets.size() == steps);
      for (std::size_t i = 0; i < steps; ++i)
        CHECK(std::abs(got.timesteps[i] - wanted["timesteps"][i].get<double>()) < 2e-4);
      if (sampler == Sampler::Ddim) {
        for (std::size_t i = 0; i < steps; ++i) {
          const double from = 1 / (1 + got.sigmas[i] * got.sigmas[i]);
          const double to = 1 / (1 + got.targets[i] * got.targets[i]);
          CHECK(std::abs(from - wanted["alphas_cumprod"][i].get<double>()) < 1e-6);
          CHECK(std::abs(to - wanted["previous_alphas_cumprod"][i].get<double>()) < 1e-6);
        }
      } else {
        for (std::size_t i = 0; i <= steps; ++i)
          CHECK(std::abs(got.sigmas[i] - wanted["sigmas"][i].get<double>()) <=
                rounding * wanted["sigmas"][i].get<double>());
        for (std::size_t i = 0; i < steps; ++i) CHECK(got.targets[i] == got.sigmas[i + 1]);
      }
      const double unit = wanted["init_noise_sigma"].get<double>();
      const double first = got.sigmas.front();
      const double scale = sampler == Sampler::Euler ? unit : unit * std::sqrt(1 + first * first);
      CHECK(near(got.initial_scale, scale));
    }
  }
}

TEST_CASE("a key that the published SD 1.5 file lacks takes the default of the sampler's class") {
  const json& published = reference()["published_sd15"];
  const ConfigJson config = config_of(published["config"].dump());
  for (const json& entry : published["inherited"]) {
    const Schedule got = make_schedule(config, sampler_named(entry["sampler"]), "auto", 5);
    CHECK(got.timesteps == entry["timesteps"].get<std::vector<double>>());
  }
}

TEST_CASE("karras goes over the model's whole range whatever the spacing") {
  const std::string leading =
      "{" + kBetas + R"(, "timestep_spacing": "leading", "steps_offset": 1})";
  for (const Sampler sampler : {Sampler::Euler, Sampler::Ddim, Sampler::Dpmpp2m}) {
    const Schedule got = make_schedule(config_of(leading), sampler, "karras", 10);
    CHECK(got.sigmas.front() == doctest::Approx(14.6146469).epsilon(1e-7));
    CHECK(got.sigmas[9] == doctest::Approx(0.0291675348).epsilon(1e-7));
    CHECK(got.sigmas[10] == 0);
    CHECK(got.targets[9] == 0);
    CHECK(got.timesteps.front() == doctest::Approx(999));
    CHECK(got.timesteps.back() == doctest::Approx(0));
    const Schedule one = make_schedule(config_of(leading), sampler, "karras", 1);
    CHECK(one.sigmas == std::vector<double>{one.sigmas[0], 0});
    CHECK(one.timesteps[0] == doctest::Approx(999));
  }
  CHECK(make_schedule(config_of(leading), Sampler::Euler, "karras", 10).timesteps[1] ==
        doctest::Approx(916.2841).epsilon(1e-5));
  CHECK(make_schedule(config_of(leading), Sampler::Dpmpp2m, "karras", 10).timesteps[1] == 916);
}

TEST_CASE("a named spacing replaces the config's, karras included") {
  const std::string karras =
      "{" + kBetas + R"(, "timestep_spacing": "leading", "use_karras_sigmas": true})";
  CHECK(make_schedule(config_of(karras), Sampler::Euler, "trailing", 4).timesteps ==
        std::vector<double>{999, 749, 499, 249});
  CHECK(make_schedule(config_of(karras), Sampler::Ddim, "linspace", 3).timesteps ==
        std::vector<double>{999, 500, 0});
}

TEST_CASE("as many steps as the model was trained with are the most") {
  for (const Sampler sampler : {Sampler::Euler, Sampler::Ddim, Sampler::Dpmpp2m})
    for (const char* schedule : {"leading", "linspace", "trailing", "karras"}) {
      const Schedule got = make_schedule(config_of("{" + kBetas + R"(, "steps_offset": 1})"),
                                         sampler, schedule, 1000);
      CHECK(got.timesteps.size() == 1000);
      CHECK(got.timesteps.front() <= 999);
      CHECK(std::isfinite(got.initial_scale));
    }
  CHECK(message_of(kPlain, "ddim", "auto", 1001) ==
        "steps is 1001: expected 1 to 1000, as many as the model was trained with");
  CHECK(message_of(kPlain, "ddim", "auto", 0) ==
        "steps is 0: expected 1 to 1000, as many as the model was trained with");
}

TEST_CASE("the sampler auto is the config's class, with a note where there is none") {
  const auto choice = [](const std::string& name) {
    return choose_sampler(config_of("{\"_class_name\": \"" + name + "\"}"), "auto");
  };
  CHECK(choice("DDIMScheduler").sampler == Sampler::Ddim);
  CHECK(choice("PNDMScheduler").sampler == Sampler::Ddim);
  CHECK(choice("PNDMScheduler").note == "");
  CHECK(choice("EulerDiscreteScheduler").sampler == Sampler::Euler);
  CHECK(choice("EulerDiscreteScheduler").note == "");
  CHECK(choice("DPMSolverMultistepScheduler").sampler == Sampler::Dpmpp2m);
  CHECK(choice("LMSDiscreteScheduler").sampler == Sampler::Euler);
  CHECK(choice("LMSDiscreteScheduler").note ==
        "the model's own sampler, 'LMSDiscreteScheduler', is not one of euler, ddim and dpmpp_2m: "
        "taking euler; give a sampler to choose");
}

TEST_CASE("a config that asks for what is not computed is refused") {
  CHECK(message_of(R"({"clip_sample": true})", "ddim") ==
        "model/scheduler: config 'clip_sample' is true: expected false; latents are not confined "
        "to -1..1, set it so in the file");
  CHECK(message_of(R"({"clip_sample": true})", "euler") == "no error");
  CHECK(message_of(R"({"thresholding": true})", "dpmpp_2m") ==
        "model/scheduler: config 'thresholding' is true: expected false; latents are not confined "
        "to -1..1, set it so in the file");
  CHECK(message_of(R"({"use_beta_sigmas": true})", "euler") ==
        "model/scheduler: config 'use_beta_sigmas' is true: expected false; give a schedule, or "
        "sampler 'ddim'");
  CHECK(message_of(R"({"beta_schedule": "sigmoid"})", "euler") ==
        "model/scheduler: config 'beta_schedule' is \"sigmoid\": expected linear, scaled_linear or "
        "squaredcos_cap_v2");
  CHECK(message_of(R"({"timestep_spacing": "even"})", "euler") ==
        "model/scheduler: config 'timestep_spacing' is \"even\": expected leading, linspace or "
        "trailing");
  CHECK(message_of(R"({"beta_end": 1.5})", "euler") ==
        "model/scheduler: config 'beta_end' is 1.5: expected betas between 0 and 1, got 1.00003");
  CHECK(message_of(R"({"trained_betas": [0.5]})", "euler") ==
        "model/scheduler: config 'trained_betas' is [0.5]: expected at least two");
  CHECK(message_of(R"({"num_train_timesteps": 0})", "euler") ==
        "model/scheduler: config 'num_train_timesteps' is 0: expected 2 to 100000");
  CHECK(message_of(R"({"_class_name": "DPMSolverMultistepScheduler",
                       "algorithm_type": "sde-dpmsolver++"})",
                   "auto") ==
        "model/scheduler: config 'algorithm_type' is \"sde-dpmsolver++\": expected dpmsolver++; "
        "give a sampler to choose");
}

TEST_CASE("the infinity that diffusers writes into its configs is read") {
  const std::string saved = R"({"_class_name": "DPMSolverMultistepScheduler", "note": "-Infinity",
                                "lambda_min_clipped": -Infinity, "variance_type": null})";
  const ConfigJson config = config_of(saved);
  CHECK(config.text("note", "") == "-Infinity");
  CHECK(make_schedule(config, Sampler::Dpmpp2m, "linspace", 4).timesteps ==
        std::vector<double>{999, 749, 500, 250});
}

TEST_CASE("lambda_min_clipped bounds where the solver starts") {
  const std::string clipped =
      R"({"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1})";
  CHECK(make_schedule(config_of(clipped), Sampler::Dpmpp2m, "linspace", 4).timesteps ==
        std::vector<double>{995, 746, 498, 249});
}

TEST_CASE("trained betas are taken as they are") {
  const NoiseTable noise(config_of(R"({"trained_betas": [0.5, 0.5]})"), Sampler::Euler);
  CHECK(noise.steps() == 2);
  CHECK(noise.min_sigma() == doctest::Approx(1));
  CHECK(noise.max_sigma() == doctest::Approx(std::sqrt(3)));
  CHECK(noise.timestep(std::pow(3, 0.25)) == doctest::Approx(0.5));
  CHECK(noise.timestep(0.1) == 0);
  CHECK(noise.timestep(9) == 1);
}

}  // namespace emulsion::models

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "check.h"
#include "emulsion/session.h"
#include "emulsion/str.h"
#include "fakes/reference.h"

// Whole pictures against diffusers' pipeline, case by case as tests/reference made them.

using namespace emulsion;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr double kLatentTolerance = 1e-3, kPixelTolerance = 1.0 / 255;

json read_json(const fs::path& file) {
  std::ifstream stream(file);
  return json::parse(stream);
}

// The reference model, or a copy of it by links whose scheduler has other settings.
class ModelOf {
 public:
  ModelOf(const std::string& name, const json& scheduler_options)
      : folder_(fs::absolute(fakes::reference_model(name))) {
    if (scheduler_options.empty()) return;
    copy_ = fs::temp_directory_path() / str("emulsion_fidelity_", std::rand());
    fs::create_directories(copy_ / "scheduler");
    json config = read_json(folder_ / "scheduler" / "scheduler_config.json");
    config.update(scheduler_options);
    std::ofstream(copy_ / "scheduler" / "scheduler_config.json") << config;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_))
      if (entry.path().filename() != "scheduler")
        fs::copy(entry.path(), copy_ / entry.path().filename(), fs::copy_options::recursive);
    folder_ = copy_;
  }
  ~ModelOf() {
    if (!copy_.empty()) fs::remove_all(copy_);
  }
  ModelOf(const ModelOf&) = delete;
  ModelOf& operator=(const ModelOf&) = delete;

  std::string path() const { return folder_.string(); }

 private:
  fs::path folder_, copy_;
};

Request request_of(const json& made, const std::string& model) {
  const auto number = [&](const char* key) { return made[key].dump(); };
  const bool karras = made["schedule"] == "karras";
  return {.graph = "sd21_txt2img",
          .values = {{"model", model},
                     {"prompt", made["prompt"]},
                     {"negative_prompt", made["negative_prompt"]},
                     {"width", number("width")},
                     {"height", number("height")},
                     {"steps", number("steps")},
                     {"guidance", number("guidance")},
                     {"seed", number("seed")},
                     {"batch", number("batch")},
                     {"sampler", made["sampler"]},
                     {"schedule", karras ? "karras" : "auto"}},
          .files = {},
          .devices = {},
          .dtype = "f32"};
}

const at::Tensor& tensor(const Outcome& outcome, const std::string& name) {
  return std::get<at::Tensor>(outcome.outputs.at(name));
}

// diffusers' Euler takes the range of karras from the steps that it has picked, which for one step
// of linspace is t = 0: a start that is all but free of noise.  k-diffusion, and with it this
// project, starts at the model's highest sigma; schedule_test.cpp has that case.
bool starts_without_noise(const json& made) {
  return made["sampler"] == "euler" && made["schedule"] == "karras" && made["steps"] == 1;
}

void check_case(const Session& session, const std::string& model_name, const json& made) {
  CAPTURE(model_name);
  CAPTURE(made["name"].get<std::string>());
  const auto wanted = fakes::reference_tensors(model_name);
  const ModelOf model(model_name, made["scheduler_options"]);
  const Outcome outcome = session.run(request_of(made, model.path()));
  const json& names = made["tensors"];
  CHECK(fakes::distance(tensor(outcome, "latent"), wanted.at(names["latent"])) < kLatentTolerance);
  if (names.contains("image"))
    CHECK(fakes::distance(tensor(outcome, "image"), wanted.at(names["image"])) < kPixelTolerance);
}

}  // namespace

TEST_CASE("every sampler and schedule ends where diffusers ends, on every kind of model") {
  const Session session({fs::path(std::getenv("EMULSION_TEST_BUILD")) / "lib/emulsion/nodes"});
  for (const std::string name : fakes::kReferenceModels) {
    const json reference = read_json(fakes::reference_model(name) / "reference.json");
    REQUIRE(reference["cases"].size() >= 8);
    for (const json& made : reference["cases"])
      if (!starts_without_noise(made)) check_case(session, name, made);
  }
}

TEST_CASE("a picture of a batch is the picture of its own seed") {
  const Session session;
  Request request{
      .graph = "sd21_txt2img", .values = {}, .files = {}, .devices = {}, .dtype = "f32"};
  request.values = {{"steps", "2"}, {"seed", "5"}, {"batch", "3"}};
  const Outcome batch = session.run(request);
  request.values = {{"steps", "2"}, {"seed", "7"}};
  const Outcome single = session.run(request);
  CHECK(fakes::distance(tensor(batch, "image").narrow(0, 2, 1), tensor(single, "image")) < 1e-4);
  CHECK(tensor(batch, "image").size(0) == 3);
}

TEST_CASE("bfloat16 stays close to float32") {
  const Session session;
  Request request{
      .graph = "sd21_txt2img", .values = {}, .files = {}, .devices = {}, .dtype = "f32"};
  const Outcome exact = session.run(request);
  request.dtype = "bf16";
  const Outcome rounded = session.run(request);
  const at::Tensor difference = tensor(rounded, "image").sub(tensor(exact, "image")).abs();
  CHECK(difference.mean().item<double>() < 0.03);
}

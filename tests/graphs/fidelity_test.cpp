#include "check.h"
#include "graphs/reference_case.h"

// Whole pictures against diffusers' pipeline, case by case as tests/reference made them.

using namespace emulsion;
using nlohmann::json;
namespace fs = std::filesystem;
using fakes::kLatentTolerance, fakes::kPixelTolerance, fakes::ModelOf, fakes::read_json,
    fakes::tensor;

namespace {

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

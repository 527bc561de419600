#include "check.h"
#include "graphs/reference_case.h"

// Whole pictures of the SDXL family against diffusers' pipelines.

using namespace emulsion;
using fakes::ModelOf, fakes::read_json, fakes::tensor;
using nlohmann::json;

namespace {

// What every graph of the family is given.
Request request_of(const json& made, const std::string& graph, const std::string& model) {
  const auto number = [&](const char* key) { return made[key].dump(); };
  Request request{.graph = graph, .values = {}, .files = {}, .devices = {}, .dtype = "f32"};
  request.values = {{"model", model},
                    {"prompt", made["prompt"]},
                    {"width", number("width")},
                    {"height", number("height")},
                    {"steps", number("steps")},
                    {"seed", number("seed")},
                    {"batch", number("batch")},
                    {"sampler", made["sampler"]},
                    {"schedule", made["schedule"] == "karras" ? "karras" : "auto"}};
  for (const auto& [size, pixels] : made["sizes"].items())
    request.values.emplace(size, pixels.dump());
  return request;
}

void add_guidance(Request& request, const json& made) {
  request.values.emplace("negative_prompt", made["negative_prompt"]);
  request.values.emplace("guidance", made["guidance"].dump());
  request.values.emplace("guidance_rescale", made["guidance_rescale"].dump());
}

void check_outcome(const Outcome& outcome, const json& made, const std::string& model) {
  const auto wanted = fakes::reference_tensors(model);
  const json& names = made["tensors"];
  CHECK(fakes::distance(tensor(outcome, "latent"), wanted.at(names["latent"])) <
        fakes::kLatentTolerance);
  if (names.contains("image"))
    CHECK(fakes::distance(tensor(outcome, "image"), wanted.at(names["image"])) <
          fakes::kPixelTolerance);
}

json cases_of(const std::string& model) {
  return read_json(fakes::reference_model(model) / "reference.json")["cases"];
}

}  // namespace

TEST_CASE("SDXL's pictures are diffusers', with every sampler, size and kind of negative prompt") {
  const Session session;
  for (const json& made : cases_of("sdxl_like")) {
    CAPTURE(made["name"].get<std::string>());
    const ModelOf model("sdxl_like", made["scheduler_options"]);
    Request request = request_of(made, "sdxl_txt2img", model.path());
    add_guidance(request, made);
    check_outcome(session.run(request), made, "sdxl_like");
  }
}

TEST_CASE("the graph of few steps gives what the other one gives without guidance") {
  const Session session;
  int found = 0;
  for (const json& made : cases_of("sdxl_like")) {
    if (made["guidance"] != 1.0) continue;
    ++found;
    CAPTURE(made["name"].get<std::string>());
    const std::string model =
        std::filesystem::absolute(fakes::reference_model("sdxl_like")).string();
    Request request = request_of(made, "sdxl_turbo", model);
    request.values.erase("schedule");
    check_outcome(session.run(request), made, "sdxl_like");
  }
  CHECK(found == 2);
}

TEST_CASE("a base model and its refiner share the steps as diffusers' ensemble does") {
  const Session session;
  for (const json& made : cases_of("sdxl_refiner_like")) {
    CAPTURE(made["name"].get<std::string>());
    const ModelOf base("sdxl_like", made["scheduler_options"]);
    const ModelOf refiner("sdxl_refiner_like", made["scheduler_options"]);
    Request request = request_of(made, "sdxl_base_refiner", base.path());
    add_guidance(request, made);
    request.values.emplace("refiner", refiner.path());
    for (const char* key : {"refine_from", "aesthetic_score", "negative_aesthetic_score"})
      if (made.contains(key)) request.values.emplace(key, made[key].dump());
    check_outcome(session.run(request), made, "sdxl_refiner_like");
  }
}

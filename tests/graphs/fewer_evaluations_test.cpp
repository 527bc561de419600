#include "check.h"
#include "graphs/reference_case.h"

// Pictures with evaluations left out, against the same in a loop around diffusers' modules.

using namespace emulsion;
using fakes::kLatentTolerance, fakes::read_json, fakes::tensor;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

const fs::path kFolder = "reference/fewer_evaluations";

Request request_of(const json& made) {
  Request request{
      .graph = "sd21_txt2img", .values = {}, .files = {}, .devices = {}, .dtype = "f32"};
  request.values = {{"model", fakes::reference_model(made["model"]).string()},
                    {"prompt", made["prompt"]},
                    {"sampler", "euler"}};
  for (const auto& [name, value] : made.items())
    if (value.is_number()) request.values[name] = value.dump();
  return request;
}

json notes_of(const Outcome& outcome) {
  const json report = json::parse(outcome.report);
  for (const json& step : report["steps"])
    if (step["node"] == "denoise.unet") return step["notes"];
  return {};
}

// "4, 6-9" of steps counted from 0
std::string listed(const std::vector<int>& steps) {
  std::string text;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const std::size_t begin = i;
    while (i + 1 < steps.size() && steps[i + 1] == steps[i] + 1) ++i;
    text += str(text.empty() ? "" : ", ", steps[begin] + 1);
    if (i > begin) text += str("-", steps[i] + 1);
  }
  return text;
}

Outcome run(const std::string& input, const std::string& value, const std::string& steps = "10",
            const std::vector<std::string>& devices = {}) {
  const Session session;
  return session.run({.graph = "sd21_txt2img",
                      .values = {{input, value}, {"steps", steps}},
                      .files = {},
                      .devices = devices,
                      .dtype = "f32"});
}

}  // namespace

TEST_CASE("what is left out is left out as in diffusers' modules, however guidance is evaluated") {
  const Session session;
  const auto wanted = read_safetensors(kFolder / "reference.safetensors");
  for (const json& made : read_json(kFolder / "cases.json")) {
    CAPTURE(made["name"].get<std::string>());
    Request request = request_of(made);
    const Outcome batched = session.run(request);
    CHECK(fakes::distance(tensor(batched, "latent"), wanted.at(made["name"])) < kLatentTolerance);
    request.devices = {"logical:a=1GiB", "cpu"};
    request.profile = "extreme";
    const Outcome sequential = session.run(request);
    CHECK(fakes::distance(tensor(sequential, "latent"), wanted.at(made["name"])) <
          kLatentTolerance);
    CHECK(notes_of(batched).size() == (made["name"] == "everything" ? 0 : 1));
    if (!made.contains("skipped")) continue;
    const std::string steps = listed(made["skipped"].get<std::vector<int>>());
    CHECK(notes_of(batched).dump().find("the result before taken in steps " + steps) !=
          std::string::npos);
  }
}

TEST_CASE("the report and the log say what was left out, and where") {
  const Session session;
  Request request{
      .graph = "sd21_txt2img", .values = {}, .files = {}, .devices = {}, .dtype = "f32"};
  request.values = {{"steps", "10"}, {"guidance_begin", "0.3"}, {"cache_interval", "4"}};
  std::vector<std::string> log;
  Callbacks callbacks;
  callbacks.warn = [&](const std::string& line) { log.push_back(line); };
  const Outcome outcome = session.run(request, callbacks);
  const std::string line =
      "7 of 20 evaluations were whole; no guidance in steps 1-3; deep features reused in steps "
      "2-3, 6-8, 10";
  CHECK(notes_of(outcome) == json({line}));
  REQUIRE(log.size() == 1);
  CHECK(log[0].ends_with("sd21_txt2img.json: node 'denoise.unet': " + line));
}

TEST_CASE("a strength that leaves nothing out changes nothing") {
  const at::Tensor whole = tensor(run("steps", "10"), "latent");
  CHECK(tensor(run("guidance_end", "1"), "latent").equal(whole));
  CHECK(tensor(run("cache_interval", "1"), "latent").equal(whole));
  CHECK(tensor(run("skip_threshold", "1e-9"), "latent").equal(whole));
  CHECK(tensor(run("merge_ratio", "0.00001"), "latent").sub(whole).abs().max().item<double>() <
        kLatentTolerance);
}

TEST_CASE("merged tokens are drawn by the seed, and the same ones again") {
  const at::Tensor once = tensor(run("merge_ratio", "0.5", "3"), "latent");
  CHECK(tensor(run("merge_ratio", "0.5", "3"), "latent").equal(once));
}

TEST_CASE("kept features are within the plan, and gone after the loop") {
  for (const char* input : {"cache_interval", "skip_threshold", "merge_ratio", "guidance_end"}) {
    CAPTURE(input);
    const bool is_share = std::string(input) != "cache_interval";
    const json report = json::parse(run(input, is_share ? "0.5" : "3").report);
    const json& device = report["devices"][0];
    CHECK(device["measured_peak_bytes"] <= device["planned_peak_bytes"]);
    for (const json& step : report["steps"]) {
      CAPTURE(step["node"]);
      CHECK(step["measured_peak_bytes"] <= step["estimated_peak_bytes"]);
    }
  }
}

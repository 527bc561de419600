#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "check.h"
#include "emulsion/errors.h"
#include "emulsion/session.h"
#include "fakes/reference.h"

// Sessions that keep weights and results from run to run, with the shipped graph and model.

using namespace emulsion;
using nlohmann::json;

namespace {

Request request_of(const std::string& prompt, int seed) {
  Request request;
  request.graph = "sd21_txt2img";
  request.values = {{"prompt", prompt}, {"seed", std::to_string(seed)}, {"steps", "2"}};
  request.dtype = "f32";
  request.keep = true;
  return request;
}

const at::Tensor& image(const Outcome& outcome) {
  return std::get<at::Tensor>(outcome.outputs.at("image"));
}

at::Tensor cold(Request request) {
  request.keep = false;
  return image(Session().run(request));
}

std::set<std::string> nodes_of(const Outcome& outcome) {
  std::set<std::string> nodes;
  const json report = json::parse(outcome.report);
  for (const json& step : report["steps"]) nodes.insert(step["node"]);
  return nodes;
}

std::size_t loads_of(const Outcome& outcome) {
  const json transfers = json::parse(outcome.report)["transfers"];
  return static_cast<std::size_t>(std::ranges::count_if(
      transfers, [](const json& transfer) { return transfer["from"] == "disk"; }));
}

// How often files whose path holds `part` are mapped into this process.
std::size_t mappings_of(const std::string& part) {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);)
    count += line.find(part) != std::string::npos && line.ends_with(".safetensors");
  return count;
}

}  // namespace

TEST_CASE("warm runs give the pictures of cold ones, and do no more than what changed asks for") {
  const Session session;
  const Outcome first = session.run(request_of("a red star", 1));
  CHECK(loads_of(first) == 3);
  const Outcome seed = session.run(request_of("a red star", 2));
  CHECK(image(seed).equal(cold(request_of("a red star", 2))));
  CHECK(loads_of(seed) == 0);
  CHECK_FALSE(nodes_of(seed).contains("encode"));
  const Outcome prompt = session.run(request_of("a blue circle", 2));
  CHECK(image(prompt).equal(cold(request_of("a blue circle", 2))));
  CHECK(loads_of(prompt) == 0);
  CHECK(nodes_of(prompt).contains("encode"));
  CHECK_FALSE(nodes_of(prompt).contains("negative_encode"));
  const Outcome again = session.run(request_of("a red star", 1));
  CHECK(image(again).equal(image(first)));
  CHECK(nodes_of(again).empty());
}

TEST_CASE("two sessions share the mapped weights, and each lets go of its own") {
  Session one;
  Request request = request_of("a red star", 1);
  request.dtype = "f16";  // which the files have
  const std::size_t before = mappings_of("/unet/");
  one.run(request);
  CHECK(mappings_of("/unet/") == before + 1);
  {
    const Session other;
    other.run(request);
    CHECK(mappings_of("/unet/") == before + 1);
    one.forget();
    CHECK(mappings_of("/unet/") == before + 1);
  }
  CHECK(mappings_of("/unet/") == before);
}

TEST_CASE("a run that keeps nothing has let go of everything at its end") {
  const Session session;
  Request request = request_of("a red star", 1);
  request.dtype = "f16";
  request.keep = false;
  const std::size_t before = mappings_of("/unet/");
  session.run(request);
  CHECK(mappings_of("/unet/") == before);
}

TEST_CASE("where only the latent is asked for, nothing is decoded") {
  const Session session;
  Request request = request_of("a red star", 1);
  request.outputs = {"latent"};
  const Outcome outcome = session.run(request);
  CHECK(outcome.outputs.size() == 1);
  CHECK_FALSE(nodes_of(outcome).contains("decode"));
}

TEST_CASE("logical devices give the picture of the host") {
  const Session session;
  Request request = request_of("a red star", 3);
  request.keep = false;
  const at::Tensor expected = image(session.run(request));
  request.profile = "full_gpu";
  request.devices = {"logical:a=2GiB", "cpu=2GiB"};
  const Outcome outcome = session.run(request);
  CHECK(image(outcome).equal(expected));
  const json devices = json::parse(outcome.report)["devices"];
  CHECK(devices[0]["measured_peak_bytes"] > 0);
  for (const json& device : devices)
    CHECK(device["measured_peak_bytes"] <= device["planned_peak_bytes"]);
}

#include <ATen/ops/randn.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "check.h"
#include "emulsion/errors.h"
#include "fakes/given_speeds.h"
#include "graphs/reference_case.h"
#include "weights/safetensors_writer.h"

// LoRAs, replaced and merged parts in whole pictures: against diffusers' load_lora_weights, and
// against each other.

using namespace emulsion;
using fakes::read_json, fakes::reference_model, fakes::tensor;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

const fs::path kPictures = "reference/lora_pictures";

std::string graph_of(const std::string& model) {
  return model == "sdxl_like" ? "sdxl_txt2img_lora" : "sd21_txt2img_lora";
}

std::string file_of(const std::string& model, const std::string& name) {
  return (kPictures / str(model, ".", name, ".safetensors")).string();
}

Request request_for(const std::string& model, const std::string& loras,
                    const std::string& strength = "1") {
  Request request{
      .graph = graph_of(model), .values = {}, .files = {}, .devices = {}, .dtype = "f32"};
  request.values = {{"model", reference_model(model).string()},
                    {"width", "64"},
                    {"height", "64"},
                    {"steps", "4"},
                    {"guidance", "5"},
                    {"seed", "7"},
                    {"sampler", "euler"},
                    {"prompt", "a large red star on a blue background"},
                    {"lora", loras},
                    {"lora_strength", strength}};
  return request;
}

// "a.safetensors:0.8, b.safetensors:-0.5"
std::string list_of(const json& made) {
  std::string list;
  for (const auto& [name, strength] : made["strengths"].items())
    list += str(list.empty() ? "" : ", ", file_of(made["model"], name), ":", strength.dump());
  return list;
}

std::set<std::string> loads_of(const Outcome& outcome) {
  std::set<std::string> loads;
  const json transfers = json::parse(outcome.report)["transfers"];
  for (const json& transfer : transfers)
    if (transfer["from"] == "disk") loads.insert(transfer["what"]);
  return loads;
}

// Of a processor whose products are so slow that those with what lies beside the weights, in each
// step, take longer than to change them once.
fs::path slow_products() {
  const fs::path file = fs::temp_directory_path() / str("emulsion_slow_", getpid(), ".json");
  json speeds = read_json("golden/speeds.json");
  for (json& compute : speeds["devices"]["cpu"]["compute"])
    compute["product"] = compute["product"].get<double>() / 10;
  std::ofstream(file) << speeds;
  return file;
}

}  // namespace

TEST_CASE("pictures with LoRAs are diffusers', applied to the weights or beside them") {
  const auto wanted = read_safetensors(kPictures / "reference.safetensors");
  const fs::path slow = slow_products();
  const fakes::GivenSpeeds speeds(slow);
  for (const json& made : read_json(kPictures / "cases.json")) {
    CAPTURE(made["name"].get<std::string>());
    Request request = request_for(made["model"], list_of(made));
    const Outcome merged = Session().run(request);
    request.keep = true;
    const Outcome beside = Session().run(request);
    CHECK_FALSE(loads_of(merged).contains("sd.unet.lora"));
    CHECK(loads_of(beside).contains("sd.unet.lora"));
    CHECK(loads_of(beside).contains("sd.text_encoder.lora"));
    const at::Tensor& latent = wanted.at(made["name"]);
    CHECK(fakes::distance(tensor(merged, "latent"), latent) < fakes::kLatentTolerance);
    CHECK(fakes::distance(tensor(beside, "latent"), latent) < fakes::kLatentTolerance);
    CHECK(fakes::distance(tensor(beside, "image"), tensor(merged, "image")) <
          fakes::kPixelTolerance);
  }
  fs::remove(slow);
}

TEST_CASE("a picture at strength 0 is the one without, bit for bit") {
  for (const std::string model : {"sd21_v_like", "sdxl_like"}) {
    Request request = request_for(model, file_of(model, "style"), "0");
    const Outcome zero = Session().run(request);
    request.values["lora"] = "";
    const Outcome empty = Session().run(request);
    request.graph = graph_of(model).substr(0, graph_of(model).size() - 5);  // without "_lora"
    request.values.erase("lora");
    request.values.erase("lora_strength");
    const Outcome plain = Session().run(request);
    CHECK(tensor(zero, "image").equal(tensor(plain, "image")));
    CHECK(tensor(empty, "image").equal(tensor(plain, "image")));
  }
}

TEST_CASE("another strength loads the adapter's tensors anew, and nothing else") {
  const std::string model = "sd21_v_like";
  const Session session;
  Request request = request_for(model, file_of(model, "style"), "0.8");
  request.keep = true;
  const Outcome first = session.run(request);
  CHECK(loads_of(first) == std::set<std::string>{"sd.text_encoder", "sd.text_encoder.lora",
                                                 "sd.unet", "sd.unet.lora", "sd.vae"});
  request.values["lora_strength"] = "0.3";
  const Outcome second = session.run(request);
  CHECK(loads_of(second) == std::set<std::string>{"sd.text_encoder.lora", "sd.unet.lora"});
  const Outcome cold = Session().run(request);
  CHECK(tensor(second, "image").equal(tensor(cold, "image")));
  CHECK(fakes::distance(tensor(second, "image"), tensor(first, "image")) > 0.01);
  request.values["lora"] = "";
  CHECK(loads_of(session.run(request)).empty());
}

TEST_CASE("tensors that belong to nothing are told in one line, and all of them in the report") {
  const std::string model = "sd21_v_like";
  const fs::path file = fs::temp_directory_path() / "emulsion_unmatched.safetensors";
  auto tensors = read_safetensors(file_of(model, "style"));
  for (int i = 0; i < 5; ++i)
    tensors[str("unet.nowhere.", i, ".lora_A.weight")] = at::randn({2, 3});
  save_safetensors(file, tensors);
  std::vector<std::string> lines;
  Callbacks callbacks;
  callbacks.warn = [&](const std::string& line) { lines.push_back(line); };
  const Outcome outcome = Session().run(request_for(model, file.string()), callbacks);
  fs::remove(file);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] == str("adapter '", file.string(),
                        "': 5 tensors have no place in the model and no effect: "
                        "'unet.nowhere.0.lora_A.weight', 'unet.nowhere.1.lora_A.weight', "
                        "'unet.nowhere.2.lora_A.weight' and 2 more"));
  const json adapters = json::parse(outcome.report)["adapters"];
  REQUIRE(adapters.size() == 1);
  CHECK(adapters[0]["unmatched"].size() == 5);
  CHECK(adapters[0]["strength"] == 1);
  CHECK(adapters[0]["resource"] == "sd");
}

TEST_CASE("another VAE comes from a model, from its folder, or from a file without a config") {
  const fs::path other = reference_model("sd21_base_like");
  Request request = request_for("sd21_v_like", "");
  const at::Tensor own = tensor(Session().run(request), "image");
  request.values["vae"] = other.string();
  const at::Tensor by_model = tensor(Session().run(request), "image");
  CHECK(fakes::distance(by_model, own) > 0.01);
  request.values["vae"] = (other / "vae").string();
  CHECK(tensor(Session().run(request), "image").equal(by_model));
  // A bare file takes the config of the VAE that it replaces.
  request.values["vae"] =
      (reference_model("sd21_v_like") / "vae/diffusion_pytorch_model.fp16.safetensors").string();
  CHECK(tensor(Session().run(request), "image").equal(own));
  request.values["vae"] = (other / "unet").string();
  CHECK_THROWS_WITH_AS(Session().run(request), doctest::Contains("node 'decode'"), WeightError);
}

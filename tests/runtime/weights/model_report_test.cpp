#include "weights/model_report.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "check.h"
#include "emulsion/errors.h"
#include "fakes/checkpoint_file.h"
#include "runtime/weights/scratch.h"

using namespace emulsion;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

ModelReport report_of_file(std::vector<fakes::CheckpointName> names,
                           const std::map<std::string, std::string>& metadata = {}) {
  const Scratch scratch;
  const fs::path path = scratch.folder() / "model.safetensors";
  fakes::write_hollow_checkpoint(path, names, metadata);
  return report_of(path);
}

}  // namespace

TEST_CASE("a single file is told with the parameters of each part") {
  const ModelReport sdxl = report_of_file(fakes::checkpoint_names("sdxl"));
  CHECK(sdxl.family == "Stable Diffusion XL");
  CHECK(sdxl.single_file);
  CHECK(sdxl.prediction == "epsilon");
  CHECK(sdxl.parts.at("unet").parameters == 2567463684);
  CHECK(sdxl.parts.at("unet").bytes == 2 * 2567463684);
  CHECK(sdxl.parts.at("text_encoder").parameters == 123060480);
  CHECK(sdxl.parts.at("text_encoder_2").parameters == 694659840);
  CHECK(sdxl.missing_parts == std::vector<std::string>{"vae"});
  const ModelReport sd15 = report_of_file(fakes::checkpoint_names("sd15"));
  CHECK(sd15.parts.at("unet").parameters == 859520964);
  CHECK(sd15.parts.at("vae").parameters == 83653863);
  CHECK(sd15.missing_parts.empty());
  CHECK(report_of_file(fakes::checkpoint_names("sd21")).parts.at("unet").parameters == 865910724);
  const ModelReport refiner = report_of_file(fakes::checkpoint_names("refiner"));
  CHECK(refiner.family == "Stable Diffusion XL refiner");
  CHECK(refiner.missing_parts == std::vector<std::string>{"vae", "text_encoder_2"});
}

TEST_CASE("unknown names, unneeded ones and metadata are told") {
  auto names = fakes::checkpoint_names("sd15");
  names.push_back({"holiday", "-", {2}});
  const ModelReport report = report_of_file(names, {{"modelspec.title", "A\nmodel"}});
  CHECK(report.unknown == std::vector<std::string>{"holiday"});
  CHECK(report.unneeded == std::vector<std::string>{
                               "cond_stage_model.transformer.text_model.embeddings.position_ids"});
  CHECK(report.metadata.at("modelspec.title") == "A\nmodel");
  const std::string text = to_text(report);
  CHECK(text.find("Stable Diffusion 1, a single file") != std::string::npos);
  CHECK(text.find("unknown tensors (1): holiday") != std::string::npos);
  CHECK(text.find("metadata modelspec.title: A model") != std::string::npos);
  const json parsed = json::parse(to_json(report));
  CHECK(parsed["parts"]["unet"]["tensors"] == 686);
  CHECK(parsed["layout"] == "single_file");
  CHECK(parsed["unknown"] == json({"holiday"}));
}

TEST_CASE("a file of one part is told as that part") {
  const auto only = [](const std::string& model, const std::string& prefix) {
    auto names = fakes::checkpoint_names(model);
    std::erase_if(names, [&](const auto& name) { return !name.source.starts_with(prefix); });
    return names;
  };
  using Names = std::vector<std::string>;
  const auto parts = [](const ModelReport& report) {
    Names names;
    for (const auto& [name, part] : report.parts) names.push_back(name);
    return names;
  };
  const ModelReport unet = report_of_file(only("sdxl", "model.diffusion_model."));
  CHECK(parts(unet) == Names{"unet"});
  CHECK(unet.family == "Stable Diffusion XL");
  CHECK(unet.prediction == "epsilon");
  CHECK(unet.missing_parts == Names{"vae", "text_encoder", "text_encoder_2"});
  CHECK(unet.vocabularies.empty());
  auto bare = only("sd15", "first_stage_model.");
  for (auto& name : bare) name.source.erase(0, std::string("first_stage_model.").size());
  const ModelReport vae = report_of_file(bare);
  CHECK(parts(vae) == Names{"vae"});
  CHECK(vae.family == "unknown");
  CHECK(vae.parts.at("vae").parameters == 83653863);
  CHECK(vae.prediction.empty());
  CHECK(vae.unknown.empty());
  CHECK(to_text(vae).find("unknown, a single file") != std::string::npos);
  const ModelReport text = report_of_file(only("sd15", "cond_stage_model."));
  CHECK(parts(text) == Names{"text_encoder"});
  CHECK(text.family == "Stable Diffusion 1");
  CHECK(text.parts.at("text_encoder").parameters == 123060480);
  const ModelReport second = report_of_file(only("sdxl", "conditioner.embedders.1."));
  CHECK(parts(second) == Names{"text_encoder_2"});
  CHECK(second.family == "Stable Diffusion XL");
}

TEST_CASE("whether a vocabulary is found, and where, is told") {
  const ModelReport folder = report_of("reference/sdxl_like");
  CHECK(folder.vocabularies.at("tokenizer") == "reference/sdxl_like/tokenizer");
  CHECK(folder.vocabularies.at("tokenizer_2") == "reference/sdxl_like/tokenizer_2");
  unsetenv("EMULSION_TOKENIZER");
  const Scratch scratch;
  const fs::path file = scratch.folder() / "model.safetensors";
  fakes::write_hollow_checkpoint(file, fakes::checkpoint_names("sd15"));
  const ModelReport none = report_of(file);
  CHECK(none.vocabularies.at("tokenizer").empty());
  CHECK(to_text(none).find("vocabulary of tokenizer: none found") != std::string::npos);
  const ModelReport installed = report_of(file, {"reference/sd15_like/tokenizer"});
  CHECK(installed.vocabularies.at("tokenizer") == "reference/sd15_like/tokenizer");
  CHECK(json::parse(to_json(installed))["vocabularies"]["tokenizer"] ==
        "reference/sd15_like/tokenizer");
}

TEST_CASE("a folder is told like a file, and its scheduler says what the UNet gives") {
  const ModelReport velocity = report_of("reference/sd21_v_like");
  CHECK(!velocity.single_file);
  CHECK(velocity.family == "Stable Diffusion 2");
  CHECK(velocity.prediction == "v_prediction");
  CHECK(velocity.missing_parts.empty());
  CHECK(velocity.parts.at("unet").dtypes.begin()->first == "float16");
  CHECK(report_of("reference/sd15_like").family == "Stable Diffusion 1");
  CHECK(report_of("reference/sd21_base_like").prediction == "epsilon");
}

TEST_CASE("a file of no known model is told as such") {
  const ModelReport report = report_of_file({{"lora_unet_conv_in.alpha", "-", {1}}});
  CHECK(report.family == "unknown");
  CHECK(report.parts.empty());
  CHECK(report.unknown.size() == 1);
}

TEST_CASE("a damaged file is refused") {
  const Scratch scratch;
  CHECK_THROWS_AS(report_of(scratch.write("model.safetensors", "x")), WeightError);
}

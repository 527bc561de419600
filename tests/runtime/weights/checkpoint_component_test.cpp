#include "weights/checkpoint_component.h"
#include "weights/safetensors_writer.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "check.h"
#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "fakes/checkpoint_file.h"
#include "memory/memory_meter.h"
#include "runtime/weights/scratch.h"

using namespace emulsion;
namespace fs = std::filesystem;

namespace {

const fs::path kModel = "reference/sd21_base_like";

// The tiny model as a single file, without anything beside it.
fs::path single_file(const Scratch& scratch) {
  install_memory_meter();
  const fs::path path = scratch.folder() / "model.safetensors";
  save_safetensors(path, fakes::as_checkpoint(kModel, fakes::checkpoint_names("sd21_base_like")));
  return path;
}

// The tensors of the same whose names begin so.
void save_part(const fs::path& path, const std::string& prefix) {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, tensor] :
       fakes::as_checkpoint(kModel, fakes::checkpoint_names("sd21_base_like")))
    if (name.starts_with(prefix)) tensors.emplace(name, tensor);
  save_safetensors(path, tensors);
}

void put_beside(const Scratch& scratch, const std::string& part) {
  fs::copy(kModel / part, scratch.folder() / part, fs::copy_options::recursive);
}

// A variable of the environment, as it was before at the end.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    setenv(name, value.c_str(), 1);
  }
  ~Variable() { unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

std::string fault_of(const fs::path& file, const std::string& part) {
  try {
    open_checkpoint_part(file, part, {});
    return "fine";
  } catch (const WeightError& error) {
    return fakes::FolderTensors::replaced(error.what(), file.parent_path().string(), "DIR");
  }
}

Bundle loaded(const OpenComponent& open, c10::ScalarType dtype, MemoryMeter* meter = nullptr) {
  const auto set = load(open, all_of(open), WeightPlace{.meter = meter}, dtype);
  Bundle tensors;
  for (const auto& [name, weight] : set->weights) tensors.emplace(name, weight.data);
  return tensors;
}

}  // namespace

TEST_CASE("the parts of a single file have the tensors of the folder's parts, bit for bit") {
  const Scratch scratch;
  const fs::path file = single_file(scratch);
  put_beside(scratch, "vae");
  for (const std::string part : {"unet", "vae", "text_encoder"}) {
    const Bundle got = loaded(open_component(file, part), at::kFloat);
    const Bundle want = loaded(open_component(kModel, part), at::kFloat);
    CHECK(got.size() == want.size());
    for (const auto& [name, tensor] : want) {
      CAPTURE(name);
      const auto found = got.find(part == "text_encoder" ? "text_model." + name : name);
      REQUIRE(found != got.end());
      CHECK(at::equal(found->second.view(-1), tensor.view(-1)));
    }
  }
}

TEST_CASE("parts are views of the file, rows of stacked tensors too") {
  const Scratch scratch;
  const OpenComponent text = open_component(single_file(scratch), "text_encoder");
  CHECK(read_cost(text, all_of(text).lasting, at::kFloat).staging == 0);
  const Bundle tensors = loaded(text, at::kFloat);
  const std::string layer = "text_model.encoder.layers.0.self_attn.";
  const at::Tensor &query = tensors.at(layer + "q_proj.bias"),
                   &key = tensors.at(layer + "k_proj.bias");
  CHECK(!query.storage().resizable());
  CHECK(static_cast<const float*>(key.const_data_ptr()) -
            static_cast<const float*>(query.const_data_ptr()) ==
        query.numel());
}

TEST_CASE("a transposed tensor is a copy, in every dtype and from any place in it") {
  const Scratch scratch;
  install_memory_meter();
  const fs::path path = scratch.folder() / "model.safetensors";
  const std::string prefix = "conditioner.embedders.1.model.";
  // 3 pieces, none of which begins at a row.
  const at::Tensor projection = at::randn({1100, 1200});
  save_safetensors(path, {{prefix + "text_projection", projection},
                          {prefix + "transformer.resblocks.0.ln_1.weight", at::ones({8})}});
  const OpenComponent open = open_component(path, "text_encoder_2");
  CHECK(read_cost(open, all_of(open).lasting, at::kFloat).mapped == 32);
  for (const c10::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    MemoryMeter meter(c10::kCPU);
    const Bundle tensors = loaded(open, dtype, &meter);
    const at::Tensor& got = tensors.at("text_projection.weight");
    CHECK(got.sizes() == c10::IntArrayRef{1200, 1100});
    CHECK(at::equal(got, projection.t().to(dtype)));
    CHECK(meter.used() >= static_cast<Bytes>(got.nbytes()));
  }
}

TEST_CASE("a config beside the file counts where its sizes are the tensors'") {
  const Scratch scratch;
  const fs::path file = single_file(scratch);
  const auto heads = [&] {
    const OpenComponent unet = open_component(file, "unet");
    return nlohmann::json::parse(unet.component->config)["attention_head_dim"];
  };
  CHECK(heads() == nlohmann::json({1, 1, 1, 1}));  // 64 channels a head, or one
  put_beside(scratch, "unet");
  CHECK(heads() == nlohmann::json({1, 2, 4, 5}));
  scratch.write("unet/config.json", R"({"block_out_channels": [320, 640]})");
  CHECK(heads() == nlohmann::json({1, 1, 1, 1}));
}

TEST_CASE("a file of one part alone has the config of its own folder") {
  const Scratch scratch;
  const fs::path whole = single_file(scratch), file = scratch.folder() / "unet.safetensors";
  save_part(file, "model.diffusion_model.");
  fs::copy(kModel / "unet/config.json", scratch.folder() / "config.json");
  const auto heads = [](const fs::path& path) {
    const OpenComponent unet = open_component(path, "unet");
    return nlohmann::json::parse(unet.component->config)["attention_head_dim"];
  };
  CHECK(heads(file) == nlohmann::json({1, 2, 4, 5}));
  CHECK(heads(whole) == nlohmann::json({1, 1, 1, 1}));
}

TEST_CASE("a scheduler beside the file counts when the UNet beside it is of the file's sizes") {
  const Scratch scratch;
  const fs::path file = single_file(scratch);
  const auto prediction = [&] {
    const OpenComponent scheduler = open_component(file, "scheduler");
    CHECK(scheduler.files.empty());
    return nlohmann::json::parse(scheduler.component->config)["prediction_type"];
  };
  const auto guessed = prediction();
  scratch.write("scheduler/scheduler_config.json", R"({"prediction_type": "sample"})");
  CHECK(prediction() == guessed);
  put_beside(scratch, "unet");
  CHECK(prediction() == "sample");
}

TEST_CASE("a vocabulary comes from beside the file, or from EMULSION_TOKENIZER") {
  const Scratch scratch;
  const fs::path file = single_file(scratch);
  unsetenv("EMULSION_TOKENIZER");
  CHECK(fault_of(file, "tokenizer") ==
        "model 'DIR/model.safetensors': a single file has no vocabulary for its 'tokenizer': "
        "expected vocab.json and merges.txt, or tokenizer.json, in '" +
            (scratch.folder() / "tokenizer").string() +
            "' or in the folder that EMULSION_TOKENIZER names (not set); copy 'tokenizer/' of any "
            "CLIP-based model there");
  {
    const Variable set("EMULSION_TOKENIZER", "reference/sd15_like/tokenizer");
    const OpenComponent tokenizer = open_component(file, "tokenizer");
    CHECK(tokenizer.component->files.contains("vocab.json"));
    // The rules are the file's: Stable Diffusion 2 pads with another token than that folder's
    // model.
    CHECK(tokenizer.component->config.find("\"pad_token\": \"!\"") != std::string::npos);
    CHECK(!tokenizer.component->files.contains("special_tokens_map.json"));
  }
  put_beside(scratch, "tokenizer");
  CHECK(open_component(file, "tokenizer").component->place ==
        (scratch.folder() / "tokenizer").string());
}

TEST_CASE("a vocabulary that is installed is the last that is looked for") {
  const Scratch scratch;
  const fs::path file = single_file(scratch);
  unsetenv("EMULSION_TOKENIZER");
  const std::vector<fs::path> installed = {scratch.folder() / "none",
                                           "reference/sd15_like/tokenizer"};
  const auto place = [&] { return open_component(file, "tokenizer", installed).component->place; };
  CHECK(place() == "reference/sd15_like/tokenizer");
  {
    const Variable set("EMULSION_TOKENIZER", "reference/sdxl_like/tokenizer");
    CHECK(place() == "reference/sdxl_like/tokenizer");
  }
  put_beside(scratch, "tokenizer");
  CHECK(place() == (scratch.folder() / "tokenizer").string());
}

TEST_CASE("settings beside the file go before all that it tells, and change what it is") {
  const Scratch scratch;
  const fs::path file = single_file(scratch);
  put_beside(scratch, "unet");
  put_beside(scratch, "scheduler");
  const std::string before = identity_of(open_component(file, "scheduler"));
  scratch.write("model.emulsion.json", R"({"family": "sd1", "prediction": "v_prediction",
      "scheduler": {"rescale_betas_zero_snr": true}, "vae": {"scaling_factor": 0.5}})");
  const auto config = [&](const std::string& part) {
    return nlohmann::json::parse(open_component(file, part).component->config);
  };
  CHECK(config("scheduler")["prediction_type"] == "v_prediction");
  CHECK(config("scheduler")["rescale_betas_zero_snr"] == true);
  CHECK(config("scheduler")["beta_schedule"] == "scaled_linear");
  CHECK(config("vae")["scaling_factor"] == 0.5);
  CHECK(config("text_encoder")["hidden_act"] == "quick_gelu");  // as in Stable Diffusion 1
  CHECK(identity_of(open_component(file, "scheduler")) != before);
}

TEST_CASE("settings that are none are refused") {
  const Scratch scratch;
  const fs::path file = single_file(scratch);
  const auto fault = [&](const std::string& settings) {
    scratch.write("model.emulsion.json", settings);
    const std::string text = fault_of(file, "unet"), place = "DIR/model.emulsion.json: ";
    CHECK(text.starts_with(place));
    return text.substr(std::min(place.size(), text.size()));
  };
  CHECK(fault("[") == "expected a JSON object; see docs/models.md");
  CHECK(fault(R"({"famly": "sd1"})") ==
        "'famly': expected family, prediction or a part such as unet, vae or scheduler; see "
        "docs/models.md");
  CHECK(fault(R"({"family": "sd3"})") ==
        "'family': expected sd1, sd2, sdxl or sdxl_refiner, got \"sd3\"; see docs/models.md");
  CHECK(fault(R"({"prediction": 1})") ==
        "'prediction': expected epsilon, v_prediction or sample, got 1; see docs/models.md");
  CHECK(fault(R"({"vae": 1})") ==
        "'vae': expected an object of the config's keys to change; see docs/models.md");
}

TEST_CASE("the pipeline's settings are the family's, or those beside the file") {
  const Scratch scratch;
  const fs::path file = scratch.folder() / "model.safetensors";
  const auto index = [&](const char* names) {
    fakes::write_hollow_checkpoint(file, fakes::checkpoint_names(names));
    return nlohmann::json::parse(open_component(file, "model_index").component->config);
  };
  CHECK(index("sdxl")["force_zeros_for_empty_prompt"] == true);
  CHECK(index("refiner")["force_zeros_for_empty_prompt"] == false);
  CHECK(index("sd15")["_class_name"] == "StableDiffusionPipeline");
  single_file(scratch);
  put_beside(scratch, "unet");
  scratch.write("model_index.json", R"({"force_zeros_for_empty_prompt": false})");
  CHECK(open_component(file, "model_index").component->config.find("_class_name") ==
        std::string::npos);
}

TEST_CASE("components of a file are told from one another, and from those of a newer file") {
  const Scratch scratch;
  const fs::path file = single_file(scratch);
  const std::string unet = identity_of(open_component(file, "unet"));
  CHECK(unet == identity_of(open_component(file, "unet")));
  CHECK(unet != identity_of(open_component(file, "text_encoder")));
  single_file(scratch);
  CHECK(unet != identity_of(open_component(file, "unet")));
}

TEST_CASE("a part that a file does not have is said with those that it has") {
  const Scratch scratch;
  const fs::path file = single_file(scratch);
  CHECK(fault_of(file, "text_encoder_2") ==
        "model 'DIR/model.safetensors': no part 'text_encoder_2': got Stable Diffusion 2 with "
        "'text_encoder', 'unet', 'vae'; give a model that has it");
}

TEST_CASE("a file that is no model is said with one of its tensors") {
  const Scratch scratch;
  const fs::path path = scratch.folder() / "lora.safetensors";
  save_safetensors(path, {{"lora_unet_conv_in.alpha", at::ones({1})}});
  CHECK(fault_of(path, "unet") ==
        "model 'DIR/lora.safetensors': not a model that is known: expected a checkpoint of Stable "
        "Diffusion 1, 2 or XL, got 1 tensors such as 'lora_unet_conv_in.alpha'");
}

TEST_CASE("a VAE by itself needs its config beside it") {
  const Scratch scratch;
  const fs::path path = scratch.folder() / "vae.safetensors";
  save_part(path, "first_stage_model.");
  CHECK(fault_of(path, "vae") ==
        "model 'DIR/vae.safetensors': a 'vae' by itself does not tell its config: expected '" +
            (scratch.folder() / "vae/config.json").string() + "', or the family in '" +
            (scratch.folder() / "vae.emulsion.json").string() +
            "'; put the config of its model there");
  scratch.write("vae.emulsion.json", R"({"family": "sdxl"})");
  CHECK(nlohmann::json::parse(open_component(path, "vae").component->config)["scaling_factor"] ==
        0.13025);
  fs::remove(scratch.folder() / "vae.emulsion.json");
  put_beside(scratch, "vae");
  CHECK(fault_of(path, "vae") == "fine");
}

TEST_CASE("a checkpoint of EDM's kind is refused") {
  const Scratch scratch;
  const fs::path path = scratch.folder() / "model.safetensors";
  auto names = fakes::checkpoint_names("sdxl");
  names.push_back({"edm_mean", "-", {4}});
  fakes::write_hollow_checkpoint(path, names);
  CHECK(fault_of(path, "scheduler") ==
        "model 'DIR/model.safetensors': trained by EDM's rules (the marker 'edm_mean'), which are "
        "not supported; give another checkpoint");
}

#include "weights/settings_to_keep.h"

#include <array>
#include <fstream>
#include <nlohmann/json.hpp>

#include "check.h"
#include "emulsion/errors.h"
#include "fakes/checkpoint_file.h"
#include "runtime/weights/scratch.h"
#include "weights/conversion.h"

using namespace emulsion;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr std::array<const char*, 5> kModels = {"sd15_like", "sd21_base_like", "sd21_v_like",
                                                "sdxl_like", "sdxl_refiner_like"};

fs::path folder_of(const std::string& model) { return fs::path("reference") / model; }

void convert(const fs::path& model, const fs::path& target) {
  const ModelLayout layout =
      target.extension() == ".safetensors" ? ModelLayout::SingleFile : ModelLayout::Folder;
  write_conversion(plan_conversion(model, target, layout, {}), {});
}

json json_in(const fs::path& path) {
  std::ifstream file(path);
  return json::parse(file);
}

// "DIR" for the scratch folder.
template <class Act>
std::string fault_of(const Scratch& scratch, const Act& act) {
  try {
    act();
  } catch (const Error& fault) {
    return fakes::FolderTensors::replaced(fault.what(), scratch.folder().string(), "DIR");
  }
  return "none";
}

json config_of(const fs::path& model, const std::string& part) {
  return json::parse(open_component(model, part).component->config);
}

}  // namespace

TEST_CASE(
    "a single file comes with the settings that its tensors do not tell, and there and back "
    "they are the same") {
  for (const std::string model : kModels) {
    CAPTURE(model);
    const Scratch scratch;
    const fs::path file = scratch.folder() / "a.safetensors", back = scratch.folder() / "back";
    convert(folder_of(model), file);
    convert(file, back);
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_of(model))) {
      const std::string part = entry.path().filename().string();
      if (!entry.is_directory() || part.starts_with("tokenizer")) continue;
      CAPTURE(part);
      const json got = config_of(back, part), want = config_of(folder_of(model), part);
      for (const char* key :
           {"norm_num_groups", "norm_eps", "attention_head_dim", "sample_size", "scaling_factor",
            "num_attention_heads", "hidden_act", "layer_norm_eps", "addition_time_embed_dim",
            "force_upcast", "_class_name", "timestep_spacing", "beta_start", "use_karras_sigmas",
            "set_alpha_to_one", "prediction_type", "vocab_size"}) {
        CAPTURE(key);
        const bool is_read = !(part == "vae" && std::string(key) == "sample_size");
        if (is_read && want.contains(key)) CHECK(got.value(key, want[key]) == want[key]);
      }
    }
    CHECK(json_in(scratch.folder() / "a.emulsion.json")["unet"]["norm_num_groups"] ==
          config_of(folder_of(model), "unet")["norm_num_groups"]);
  }
}

TEST_CASE("a model with the configs of its family needs no settings") {
  const Scratch scratch;
  const fs::path file = scratch.folder() / "model.safetensors";
  fakes::write_hollow_checkpoint(file, fakes::checkpoint_names("sd15"));
  scratch.write("unet/config.json", R"({"_class_name": "UNet2DConditionModel", "act_fn": "silu",
      "_diffusers_version": "0.6.0", "attention_head_dim": 8, "cross_attention_dim": 768,
      "block_out_channels": [320, 640, 1280, 1280], "center_input_sample": false,
      "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D",
      "DownBlock2D"], "downsample_padding": 1, "flip_sin_to_cos": true, "freq_shift": 0,
      "in_channels": 4, "layers_per_block": 2, "mid_block_scale_factor": 1, "norm_eps": 1e-05,
      "norm_num_groups": 32, "out_channels": 4, "sample_size": 64, "up_block_types": ["UpBlock2D",
      "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]})");
  scratch.write("vae/config.json", R"({"_class_name": "AutoencoderKL", "act_fn": "silu",
      "block_out_channels": [128, 256, 512, 512], "down_block_types": ["DownEncoderBlock2D",
      "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"], "in_channels": 3,
      "latent_channels": 4, "layers_per_block": 2, "norm_num_groups": 32, "out_channels": 3,
      "sample_size": 512, "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D",
      "UpDecoderBlock2D", "UpDecoderBlock2D"]})");
  scratch.write("scheduler/scheduler_config.json", R"({"_class_name": "PNDMScheduler",
      "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
      "num_train_timesteps": 1000, "set_alpha_to_one": false, "skip_prk_steps": true,
      "steps_offset": 1, "trained_betas": null, "clip_sample": false})");
  const auto texts = [&] {
    return plan_conversion(file, scratch.folder() / "b.safetensors", ModelLayout::SingleFile, {})
        .texts;
  };
  CHECK(texts().empty());
  scratch.write("scheduler/scheduler_config.json", R"({"_class_name": "EulerDiscreteScheduler",
      "timestep_spacing": "trailing", "lambda_min_clipped": -Infinity})");
  const json settings = json::parse(texts().at("b.emulsion.json"));
  CHECK(settings.size() == 1);
  CHECK(settings["scheduler"]["timestep_spacing"] == "trailing");
  CHECK(settings["scheduler"]["beta_schedule"].is_null());  // as absent as it was
}

TEST_CASE("settings of a file go along to another file and to a folder") {
  const Scratch scratch;
  const fs::path file = scratch.folder() / "a.safetensors",
                 other = scratch.folder() / "b.safetensors";
  fakes::write_hollow_checkpoint(file, fakes::checkpoint_names("sd15"));
  scratch.write("a.emulsion.json", R"({"family": "sd2", "prediction": "v_prediction",
      "vae": {"scaling_factor": 0.5}})");
  const Conversion single = plan_conversion(file, other, ModelLayout::SingleFile, {});
  const json settings = json::parse(single.texts.at("b.emulsion.json"));
  CHECK(settings["family"] == "sd2");
  CHECK(settings["prediction"] == "v_prediction");
  CHECK(settings["vae"] == json({{"scaling_factor", 0.5}}));
  const Conversion folder = plan_conversion(file, scratch.folder() / "f", ModelLayout::Folder, {});
  CHECK(json::parse(folder.texts.at("vae/config.json"))["scaling_factor"] == 0.5);
}

TEST_CASE("a vocabulary that is not CLIP's goes along, under the file's name") {
  const Scratch scratch;
  const fs::path file = scratch.folder() / "a.safetensors";
  convert("reference/sd15_like", file);
  const OpenComponent tokenizer = open_component(file, "tokenizer");
  CHECK(tokenizer.component->place == (scratch.folder() / "a.tokenizer").string());
  for (const char* name : {"vocab.json", "merges.txt"})
    CHECK(fs::file_size(scratch.folder() / "a.tokenizer" / name) ==
          fs::file_size(folder_of("sd15_like") / "tokenizer" / name));
  convert(file, scratch.folder() / "b.safetensors");
  CHECK(fs::exists(scratch.folder() / "b.tokenizer/vocab.json"));
}

TEST_CASE(
    "what would stand beside a file is not written over, and goes when the file does not come") {
  const Scratch scratch;
  const fs::path file = scratch.folder() / "a.safetensors";
  Conversion conversion =
      plan_conversion(folder_of("sd15_like"), file, ModelLayout::SingleFile, {});
  conversion.copies["a.tokenizer/none"] = scratch.folder() / "none";
  CHECK_THROWS_AS(write_conversion(conversion, {}), RunError);
  CHECK(scratch.entries() == 0);
  scratch.write("a.emulsion.json", "{}");
  CHECK(fault_of(scratch, [&] { convert(folder_of("sd15_like"), file); }) ==
        "'DIR/a.emulsion.json' is there already: expected a place for the model; give another one, "
        "or remove it first");
}

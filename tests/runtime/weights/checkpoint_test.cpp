#include "weights/checkpoint.h"

#include <ATen/ops/randn.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "check.h"
#include "emulsion/errors.h"
#include "fakes/checkpoint_file.h"
#include "runtime/weights/scratch.h"
#include "weights/checkpoint_configs.h"
#include "weights/safetensors_writer.h"

using namespace emulsion;
using fakes::CheckpointName;
using nlohmann::json;

namespace {

using Names = std::vector<CheckpointName>;

Checkpoint checkpoint_of(const Names& names,
                         const std::map<std::string, std::string>& metadata = {}) {
  const Scratch scratch;
  const auto path = scratch.folder() / "model.safetensors";
  fakes::write_hollow_checkpoint(path, names, metadata);
  return read_checkpoint(path);
}

Names with(Names names, const Names& more) {
  names.insert(names.end(), more.begin(), more.end());
  return names;
}

// The names of one part, with another prefix.
Names part_of(const Names& names, const std::string& prefix, const std::string& instead) {
  Names part;
  for (const CheckpointName& name : names)
    if (name.source.starts_with(prefix))
      part.push_back({instead + name.source.substr(prefix.size()), name.target, name.shape});
  return part;
}

// "part/name" of all that diffusers has, as the listing tells.
std::set<std::string> wanted(const Names& names) {
  const std::string stacked = "{q,k,v}";
  std::set<std::string> all;
  for (const CheckpointName& name : names) {
    if (name.target == "-") continue;
    const std::string target = fakes::FolderTensors::replaced(name.target, "^T", "");
    for (const char* part : {"q", "k", "v"})
      all.insert(fakes::FolderTensors::replaced(target, stacked, part));
  }
  return all;
}

std::set<std::string> found(const Checkpoint& checkpoint) {
  std::set<std::string> all;
  for (const auto& [part, content] : checkpoint.parts)
    for (const auto& [name, stored] : content.tensors) all.insert(part + "/" + name);
  return all;
}

std::size_t unneeded(const Checkpoint& checkpoint) {
  std::size_t count = checkpoint.unneeded.size();
  for (const auto& [part, content] : checkpoint.parts) count += content.unneeded.size();
  return count;
}

std::size_t unknown(const Checkpoint& checkpoint) {
  std::size_t count = checkpoint.unknown.size();
  for (const auto& [part, content] : checkpoint.parts) count += content.unknown.size();
  return count;
}

void check_every_name(const Checkpoint& checkpoint, const Names& names) {
  CHECK(found(checkpoint) == wanted(names));
  CHECK(unneeded(checkpoint) ==
        static_cast<std::size_t>(std::ranges::count(names, "-", &CheckpointName::target)));
  CHECK(unknown(checkpoint) == 0);
}

std::size_t tensors_of(const Checkpoint& checkpoint, const std::string& part) {
  return checkpoint.parts.at(part).tensors.size();
}

json config_of(const Checkpoint& checkpoint, const std::string& part) {
  return json::parse(checkpoint_config(checkpoint, part));
}

}  // namespace

TEST_CASE("every tensor of Stable Diffusion 1 has its place") {
  const Names names = fakes::checkpoint_names("sd15");
  const Checkpoint checkpoint = checkpoint_of(names);
  CHECK(checkpoint.family == Family::StableDiffusion1);
  CHECK(checkpoint.prediction.type == "epsilon");
  check_every_name(checkpoint, names);
  CHECK(tensors_of(checkpoint, "unet") == 686);
  CHECK(tensors_of(checkpoint, "vae") == 248);
  CHECK(tensors_of(checkpoint, "text_encoder") == 196);
}

TEST_CASE("every tensor of Stable Diffusion 2 has its place") {
  const Names names = fakes::checkpoint_names("sd21");
  const Checkpoint checkpoint = checkpoint_of(names);
  CHECK(checkpoint.family == Family::StableDiffusion2);
  check_every_name(checkpoint, names);
  CHECK(tensors_of(checkpoint, "unet") == 686);
  CHECK(tensors_of(checkpoint, "text_encoder") == 372);
}

TEST_CASE("every tensor of SDXL and of its refiner has its place") {
  const Names base = fakes::checkpoint_names("sdxl"), refiner = fakes::checkpoint_names("refiner");
  const Checkpoint checkpoint = checkpoint_of(base);
  CHECK(checkpoint.family == Family::Sdxl);
  check_every_name(checkpoint, base);
  CHECK(tensors_of(checkpoint, "unet") == 1680);
  CHECK(tensors_of(checkpoint, "text_encoder_2") == 517);
  const Names second = part_of(base, "conditioner.embedders.1.", "conditioner.embedders.0.");
  const Checkpoint other = checkpoint_of(with(refiner, second));
  CHECK(other.family == Family::SdxlRefiner);
  check_every_name(other, with(refiner, second));
  CHECK(tensors_of(other, "unet") == 1220);
  CHECK(other.has("text_encoder_2"));
  CHECK(!other.has("text_encoder"));
}

TEST_CASE("the UNets' sizes are told by their tensors") {
  const json sd15 = config_of(checkpoint_of(fakes::checkpoint_names("sd15")), "unet");
  CHECK(sd15["block_out_channels"] == json({320, 640, 1280, 1280}));
  CHECK(sd15["attention_head_dim"] == json({8, 8, 8, 8}));
  CHECK(sd15["cross_attention_dim"] == 768);
  CHECK(sd15["use_linear_projection"] == false);
  const json sd21 = config_of(checkpoint_of(fakes::checkpoint_names("sd21")), "unet");
  CHECK(sd21["attention_head_dim"] == json({5, 10, 20, 20}));
  CHECK(sd21["layers_per_block"] == 2);
  CHECK(sd21["use_linear_projection"] == true);
  const json sdxl = config_of(checkpoint_of(fakes::checkpoint_names("sdxl")), "unet");
  CHECK(sdxl["transformer_layers_per_block"] == json({1, 2, 10}));
  CHECK(sdxl["down_block_types"][0] == "DownBlock2D");
  CHECK(sdxl["up_block_types"][0] == "CrossAttnUpBlock2D");
  CHECK(sdxl["projection_class_embeddings_input_dim"] == 2816);
  const json refiner = config_of(checkpoint_of(fakes::checkpoint_names("refiner")), "unet");
  CHECK(refiner["transformer_layers_per_block"] == json({1, 4, 4, 4}));
  CHECK(refiner["down_block_types"][3] == "DownBlock2D");
  CHECK(refiner["up_block_types"][0] == "UpBlock2D");
  CHECK(refiner["attention_head_dim"] == json({6, 12, 24, 24}));
}

TEST_CASE("the other parts' configs have the family's rules") {
  const Checkpoint sd15 = checkpoint_of(fakes::checkpoint_names("sd15"));
  CHECK(config_of(sd15, "vae")["block_out_channels"] == json({128, 256, 512, 512}));
  CHECK(config_of(sd15, "vae")["layers_per_block"] == 2);
  CHECK(config_of(sd15, "vae")["scaling_factor"] == 0.18215);
  CHECK(config_of(sd15, "text_encoder")["hidden_act"] == "quick_gelu");
  CHECK(config_of(sd15, "text_encoder")["num_attention_heads"] == 12);
  CHECK(config_of(sd15, "tokenizer")["pad_token"] == "<|endoftext|>");
  const Checkpoint sd21 = checkpoint_of(fakes::checkpoint_names("sd21"));
  CHECK(config_of(sd21, "text_encoder")["hidden_act"] == "gelu");
  CHECK(config_of(sd21, "text_encoder")["num_hidden_layers"] == 23);
  CHECK(config_of(sd21, "tokenizer")["pad_token"] == "!");
  const Checkpoint sdxl = checkpoint_of(fakes::checkpoint_names("sdxl"));
  CHECK(config_of(sdxl, "text_encoder")["hidden_size"] == 768);
  CHECK(config_of(sdxl, "text_encoder_2")["num_hidden_layers"] == 32);
  CHECK(config_of(sdxl, "text_encoder_2")["projection_dim"] == 1280);
  CHECK(config_of(sdxl, "tokenizer_2")["pad_token"] == "!");
  CHECK(config_of(sdxl, "scheduler")["_class_name"] == "EulerDiscreteScheduler");
}

TEST_CASE("inpainting is told by the channels of the input, in every family") {
  const std::map<std::string, std::string> pipelines = {
      {"sd15", "StableDiffusionInpaintPipeline"},
      {"sd21", "StableDiffusionInpaintPipeline"},
      {"sdxl", "StableDiffusionXLInpaintPipeline"}};
  for (const auto& [model, pipeline] : pipelines) {
    Names names = fakes::checkpoint_names(model);
    const Family family = checkpoint_of(names).family;
    for (CheckpointName& name : names)
      if (name.target == "unet/conv_in.weight") name.shape[1] = 9;
    const Checkpoint checkpoint = checkpoint_of(names);
    CHECK(checkpoint.family == family);
    CHECK(config_of(checkpoint, "unet")["in_channels"] == 9);
    CHECK(config_of(checkpoint, "unet")["out_channels"] == 4);
    CHECK(config_of(checkpoint, "model_index")["_class_name"] == pipeline);
  }
}

TEST_CASE("files of one part are known with the prefixes that programs give them") {
  const Names sd15 = fakes::checkpoint_names("sd15");
  for (const std::string prefix : {"", "model.diffusion_model.", "diffusion_model."}) {
    const Checkpoint unet = checkpoint_of(part_of(sd15, "model.diffusion_model.", prefix));
    CHECK(unet.family == Family::StableDiffusion1);
    CHECK(tensors_of(unet, "unet") == 686);
    CHECK(unknown(unet) == 0);
  }
  for (const std::string prefix : {"", "vae.", "first_stage_model."}) {
    const Checkpoint vae = checkpoint_of(part_of(sd15, "first_stage_model.", prefix));
    CHECK(tensors_of(vae, "vae") == 248);
    CHECK(vae.family == Family::Unknown);
    CHECK(checkpoint_config(vae, "vae").empty());  // nothing tells the factor of its latents
  }
  for (const std::string prefix :
       {"", "clip_l.transformer.", "text_encoders.clip_l.transformer.", "text_encoder."}) {
    const Checkpoint text = checkpoint_of(part_of(sd15, "cond_stage_model.transformer.", prefix));
    CHECK(tensors_of(text, "text_encoder") == 196);
    CHECK(text.family == Family::StableDiffusion1);
  }
}

TEST_CASE("text encoders alone are told apart by their width, under OpenCLIP's names too") {
  const Names sd21 = fakes::checkpoint_names("sd21"), sdxl = fakes::checkpoint_names("sdxl");
  const Checkpoint h = checkpoint_of(part_of(sd21, "cond_stage_model.model.", ""));
  CHECK(h.family == Family::StableDiffusion2);
  CHECK(tensors_of(h, "text_encoder") == 372);
  CHECK(config_of(h, "text_encoder")["num_hidden_layers"] == 23);
  const Checkpoint g = checkpoint_of(part_of(sdxl, "conditioner.embedders.1.model.", ""));
  CHECK(g.family == Family::Sdxl);
  CHECK(tensors_of(g, "text_encoder_2") == 517);
  Names renamed;
  for (const CheckpointName& name : sdxl)
    if (name.target == "text_encoder_2/text_projection.weight^T")
      renamed.push_back({"text_projection.weight", "", {1280, 1280}});
    else if (name.target.starts_with("text_encoder_2/") &&
             name.target.find("{q,k,v}") == std::string::npos)
      renamed.push_back({name.target.substr(15), "", name.shape});
  for (const std::string prefix :
       {"", "clip_g.transformer.", "text_encoders.clip_g.transformer.", "text_encoder_2."}) {
    const Checkpoint checkpoint = checkpoint_of(part_of(renamed, "", prefix));
    CHECK(checkpoint.family == Family::Sdxl);
    CHECK(tensors_of(checkpoint, "text_encoder_2") == renamed.size());
  }
}

TEST_CASE("of a whole CLIP model the text half is taken") {
  Names names = part_of(fakes::checkpoint_names("sd15"), "cond_stage_model.transformer.", "");
  names.push_back({"logit_scale", "-", {}});
  names.push_back({"visual_projection.weight", "-", {768, 1024}});
  names.push_back({"vision_model.embeddings.class_embedding", "-", {1024}});
  const Checkpoint checkpoint = checkpoint_of(names);
  CHECK(tensors_of(checkpoint, "text_encoder") == 196);
  CHECK(unneeded(checkpoint) == 4);
  CHECK(unknown(checkpoint) == 0);
}

TEST_CASE("a file with diffusers' names keeps them") {
  Names names;
  for (const CheckpointName& name : fakes::checkpoint_names("sdxl"))
    if (name.target.starts_with("unet/")) names.push_back({name.target.substr(5), "", name.shape});
  const Checkpoint checkpoint = checkpoint_of(names);
  CHECK(checkpoint.family == Family::Sdxl);
  CHECK(tensors_of(checkpoint, "unet") == 1680);
}

TEST_CASE("metadata goes before markers, and markers before a guess") {
  const Names sd21 = fakes::checkpoint_names("sd21"), sdxl = fakes::checkpoint_names("sdxl");
  CHECK(checkpoint_of(sd21).prediction.type == "epsilon");  // zeros spread by nothing
  const std::string key = "modelspec.prediction_type";
  CHECK(checkpoint_of(sd21, {{key, "v"}}).prediction.type == "v_prediction");
  const Names marked = with(sdxl, {{"v_pred", "-", {}}, {"ztsnr", "-", {}}});
  const Checkpoint velocity = checkpoint_of(marked);
  CHECK(velocity.prediction.type == "v_prediction");
  CHECK(velocity.prediction.zero_snr);
  CHECK(unknown(velocity) == 0);
  CHECK(config_of(velocity, "scheduler")["rescale_betas_zero_snr"] == true);
  CHECK(checkpoint_of(marked, {{key, "epsilon"}}).prediction.type == "epsilon");
  CHECK(checkpoint_of(with(sdxl, {{"edm_mean", "-", {4}}})).prediction.type == "edm");
}

TEST_CASE(
    "without a word of it, the spread of a norm's bias tells a Stable Diffusion 2 of its kind") {
  const Scratch scratch;
  const auto path = scratch.folder() / "model.safetensors";
  auto tensors =
      fakes::as_checkpoint("reference/sd21_base_like", fakes::checkpoint_names("sd21_base_like"));
  at::Tensor& bias =
      tensors.at("model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias");
  bias = at::randn({1024}, at::kHalf).mul_(0.08);
  save_safetensors(path, tensors);
  CHECK(read_checkpoint(path).prediction.type == "epsilon");
  bias = at::randn({1024}, at::kHalf).mul_(0.1);
  save_safetensors(path, tensors);
  CHECK(read_checkpoint(path).prediction.type == "v_prediction");
}

TEST_CASE("tensors of nothing known are named, and those of training are known") {
  const Names sd15 = fakes::checkpoint_names("sd15");
  const Checkpoint checkpoint = checkpoint_of(
      with(sd15, {{"betas", "-", {1000}},
                  {"model_ema.decay", "-", {}},
                  {"holiday", "-", {2}},
                  {"model.diffusion_model.input_blocks.1.0.strange.weight", "-", {2}}}));
  CHECK(checkpoint.unneeded == std::vector<std::string>{"betas", "model_ema.decay"});
  CHECK(checkpoint.unknown == std::vector<std::string>{"holiday"});
  CHECK(checkpoint.parts.at("unet").unknown ==
        std::vector<std::string>{"model.diffusion_model.input_blocks.1.0.strange.weight"});
}

TEST_CASE("a stacked tensor that cannot be cut in three is refused") {
  Names names = fakes::checkpoint_names("sd21");
  for (CheckpointName& name : names)
    if (name.source.ends_with("resblocks.0.attn.in_proj_bias")) name.shape = {3073};
  CHECK_THROWS_AS(checkpoint_of(names), WeightError);
}

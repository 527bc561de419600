#include "weights/checkpoint_configs.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "emulsion/str.h"

namespace emulsion {
namespace {

using nlohmann::json;

constexpr std::int64_t kHeadWidth = 64;  // of all but the UNet of Stable Diffusion 1

// Reads sizes off the tensors of a part.
class Shapes {
 public:
  explicit Shapes(const StoredTensors& tensors) : tensors_(tensors) {}

  // The length of an axis, or 0 where there is no such tensor.
  std::int64_t size(const std::string& name, std::size_t axis) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end() || found->second.spec.shape.size() <= axis) return 0;
    return found->second.spec.shape[axis];
  }
  std::size_t rank(const std::string& name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? 0 : found->second.spec.shape.size();
  }
  bool has_scope(const std::string& scope) const {
    const auto found = tensors_.lower_bound(scope + ".");
    return found != tensors_.end() && found->first.starts_with(scope + ".");
  }
  // How many of "scope.0", "scope.1", … there are.
  std::int64_t count(const std::string& scope) const {
    std::int64_t items = 0;
    while (has_scope(str(scope, ".", items))) ++items;
    return items;
  }

 private:
  const StoredTensors& tensors_;
};

bool is_sdxl(Family family) { return family == Family::Sdxl || family == Family::SdxlRefiner; }

struct Attention {
  std::int64_t depth = 0, context = 0;
  bool linear = false;
};

Attention attention_of(const Shapes& unet, const std::string& scope) {
  return {unet.count(str(scope, ".transformer_blocks")),
          unet.size(str(scope, ".transformer_blocks.0.attn2.to_k.weight"), 1),
          unet.rank(str(scope, ".proj_in.weight")) == 2};
}

void add_levels(const Shapes& unet, Family family, json& config) {
  const std::int64_t levels = unet.count("down_blocks");
  const Attention middle = attention_of(unet, "mid_block.attentions.0");
  json channels = json::array(), heads = json::array(), depths = json::array();
  json down = json::array(), up = json::array();
  for (std::int64_t i = 0; i < levels; ++i) {
    const std::string scope = str("down_blocks.", i);
    const Attention attention = attention_of(unet, str(scope, ".attentions.0"));
    const std::int64_t width = unet.size(str(scope, ".resnets.0.conv1.weight"), 0);
    const bool last = i + 1 == levels;
    channels.push_back(width);
    heads.push_back(
        family == Family::StableDiffusion1 ? 8 : std::max<std::int64_t>(1, width / kHeadWidth));
    depths.push_back(attention.depth > 0 ? attention.depth : last ? middle.depth : 1);
    down.push_back(attention.depth > 0 ? "CrossAttnDownBlock2D" : "DownBlock2D");
    const bool attends = unet.has_scope(str("up_blocks.", i, ".attentions.0"));
    up.push_back(attends ? "CrossAttnUpBlock2D" : "UpBlock2D");
  }
  config["block_out_channels"] = channels;
  config["attention_head_dim"] = heads;  // diffusers' name for the number of heads
  config["transformer_layers_per_block"] = depths;
  config["down_block_types"] = down;
  config["up_block_types"] = up;
  config["mid_block_type"] = middle.depth > 0 ? "UNetMidBlock2DCrossAttn" : "UNetMidBlock2D";
  config["cross_attention_dim"] = middle.context;
  config["use_linear_projection"] = middle.linear;
}

json unet_config(const Shapes& unet, const Checkpoint& checkpoint) {
  json config = {{"_class_name", "UNet2DConditionModel"},
                 {"act_fn", "silu"},
                 {"downsample_padding", 1},
                 {"flip_sin_to_cos", true},
                 {"freq_shift", 0},
                 {"in_channels", unet.size("conv_in.weight", 1)},
                 {"out_channels", unet.size("conv_out.weight", 0)},
                 {"layers_per_block", unet.count("down_blocks.0.resnets")},
                 {"norm_eps", 1e-5},
                 {"norm_num_groups", 32}};
  add_levels(unet, checkpoint.family, config);
  const bool large_sd2 =  // 768 pixels, where others have 512
      checkpoint.family == Family::StableDiffusion2 && checkpoint.prediction.type == "v_prediction";
  config["upcast_attention"] = large_sd2;
  config["sample_size"] = is_sdxl(checkpoint.family) ? 128 : large_sd2 ? 96 : 64;
  if (is_sdxl(checkpoint.family)) {
    config["addition_embed_type"] = "text_time";
    config["addition_time_embed_dim"] = 256;
    config["projection_class_embeddings_input_dim"] = unet.size("add_embedding.linear_1.weight", 1);
  }
  return config;
}

json vae_config(const Shapes& vae, Family family) {
  const std::int64_t levels = vae.count("decoder.up_blocks");
  json channels = json::array();
  for (std::int64_t i = levels; i-- > 0;)
    channels.push_back(vae.size(str("decoder.up_blocks.", i, ".resnets.0.conv1.weight"), 0));
  return {{"_class_name", "AutoencoderKL"},
          {"act_fn", "silu"},
          {"block_out_channels", channels},
          {"down_block_types", json::array_t(channels.size(), "DownEncoderBlock2D")},
          {"up_block_types", json::array_t(channels.size(), "UpDecoderBlock2D")},
          {"in_channels", 3},
          {"out_channels", 3},
          {"latent_channels", vae.size("decoder.conv_in.weight", 1)},
          {"layers_per_block", vae.count("decoder.up_blocks.0.resnets") - 1},
          {"mid_block_add_attention", vae.has_scope("decoder.mid_block.attentions.0")},
          {"norm_num_groups", 32},
          {"use_quant_conv", vae.has_scope("quant_conv")},
          {"use_post_quant_conv", vae.has_scope("post_quant_conv")},
          {"force_upcast", is_sdxl(family)},  // SDXL's overflows in float16
          {"scaling_factor", is_sdxl(family) ? 0.13025 : 0.18215}};
}

// All CLIP models but the L one compute gelu exactly.
json text_config(const Shapes& text, const std::string& scope, bool projected, bool is_l) {
  const std::int64_t width = text.size(scope + "final_layer_norm.weight", 0);
  const std::int64_t projection = text.size("text_projection.weight", 0);
  return {{"architectures", {projected ? "CLIPTextModelWithProjection" : "CLIPTextModel"}},
          {"model_type", "clip_text_model"},
          {"hidden_act", is_l ? "quick_gelu" : "gelu"},
          {"hidden_size", width},
          {"intermediate_size", text.size(scope + "encoder.layers.0.mlp.fc1.weight", 0)},
          {"layer_norm_eps", 1e-5},
          {"max_position_embeddings", text.size(scope + "embeddings.position_embedding.weight", 0)},
          {"num_attention_heads", std::max<std::int64_t>(1, width / kHeadWidth)},
          {"num_hidden_layers", text.count(scope + "encoder.layers")},
          {"projection_dim", projection > 0 ? projection
                             : is_l         ? width
                                            : 512},
          {"vocab_size", text.size(scope + "embeddings.token_embedding.weight", 0)},
          {"bos_token_id", 0},
          {"eos_token_id", 2},
          {"pad_token_id", 1}};
}

json scheduler_config(const Checkpoint& checkpoint) {
  const FoundPrediction& prediction = checkpoint.prediction;
  json config = {{"beta_start", 0.00085},
                 {"beta_end", 0.012},
                 {"beta_schedule", "scaled_linear"},
                 {"num_train_timesteps", 1000},
                 {"prediction_type", prediction.type},
                 {"steps_offset", 1},
                 {"timestep_spacing", "leading"},
                 {"clip_sample", false},
                 {"set_alpha_to_one", false},
                 {"skip_prk_steps", true}};
  config["_class_name"] = is_sdxl(checkpoint.family)     ? "EulerDiscreteScheduler"
                          : prediction.type == "epsilon" ? "PNDMScheduler"
                                                         : "DDIMScheduler";
  if (prediction.zero_snr) {
    config["rescale_betas_zero_snr"] = true;
    config["timestep_spacing"] = "trailing";  // begins at the pure noise
  }
  return config;
}

// CLIP-L pads with the end, the others with the token 0.
json tokenizer_config(bool is_l) {
  return {{"tokenizer_class", "CLIPTokenizer"}, {"model_max_length", 77},
          {"bos_token", "<|startoftext|>"},     {"eos_token", "<|endoftext|>"},
          {"unk_token", "<|endoftext|>"},       {"pad_token", is_l ? "<|endoftext|>" : "!"}};
}

const char* pipeline_of(const Checkpoint& checkpoint) {
  constexpr std::int64_t kInpainting = 9;  // a mask and the masked latent besides the latent
  const auto unet = checkpoint.parts.find("unet");
  const bool inpainting = unet != checkpoint.parts.end() &&
                          Shapes(unet->second.tensors).size("conv_in.weight", 1) == kInpainting;
  if (checkpoint.family == Family::SdxlRefiner) return "StableDiffusionXLImg2ImgPipeline";
  if (checkpoint.family == Family::Sdxl)
    return inpainting ? "StableDiffusionXLInpaintPipeline" : "StableDiffusionXLPipeline";
  return inpainting ? "StableDiffusionInpaintPipeline" : "StableDiffusionPipeline";
}

// Which parts are there, and the pipeline's own settings.
json model_index(const Checkpoint& checkpoint) {
  const std::map<std::string, std::pair<const char*, const char*>> classes = {
      {"unet", {"diffusers", "UNet2DConditionModel"}},
      {"vae", {"diffusers", "AutoencoderKL"}},
      {"text_encoder", {"transformers", "CLIPTextModel"}},
      {"text_encoder_2", {"transformers", "CLIPTextModelWithProjection"}}};
  json index = {{"_class_name", pipeline_of(checkpoint)}};
  for (const auto& [part, names] : classes)
    if (checkpoint.has(part)) index[part] = {names.first, names.second};
  for (const std::string suffix : {"", "_2"})
    if (checkpoint.has("text_encoder" + suffix))
      index["tokenizer" + suffix] = {"transformers", "CLIPTokenizer"};
  if (checkpoint.has("unet"))
    index["scheduler"] = {"diffusers", scheduler_config(checkpoint)["_class_name"]};
  const bool refiner = checkpoint.family == Family::SdxlRefiner;
  if (is_sdxl(checkpoint.family)) {
    index["force_zeros_for_empty_prompt"] = !refiner;
    if (refiner) index["requires_aesthetics_score"] = true;
    if (refiner) index["text_encoder"] = index["tokenizer"] = {nullptr, nullptr};
  } else {
    index["safety_checker"] = index["feature_extractor"] = {nullptr, nullptr};
    index["requires_safety_checker"] = false;
  }
  return index;
}

json part_config(const Checkpoint& checkpoint, const std::string& part) {
  if (part == "model_index") return model_index(checkpoint);
  const bool second = part.ends_with("_2");
  const bool is_l = !second && checkpoint.family != Family::StableDiffusion2;
  if (part.starts_with("tokenizer")) return tokenizer_config(is_l);
  if (part == "scheduler") return checkpoint.has("unet") ? scheduler_config(checkpoint) : json();
  const auto found = checkpoint.parts.find(part);
  if (found == checkpoint.parts.end()) return {};
  const Shapes shapes(found->second.tensors);
  if (part == "unet") return unet_config(shapes, checkpoint);
  // The factor of its latents is not in a VAE.
  if (part == "vae")
    return checkpoint.family == Family::Unknown ? json() : vae_config(shapes, checkpoint.family);
  return text_config(shapes, shapes.has_scope("text_model") ? "text_model." : "", second, is_l);
}

}  // namespace

std::string checkpoint_config(const Checkpoint& checkpoint, const std::string& part) {
  const json config = part_config(checkpoint, part);
  return config.is_null() ? "" : config.dump(2) + "\n";
}

}  // namespace emulsion

#include "models/configs.h"

#include <algorithm>

#include "emulsion/str.h"
#include "models/configs_read.h"
#include "models/schedule.h"

namespace emulsion::models {
namespace {

bool has_projection(const ConfigJson& json) {
  if (!json.has("architectures")) return false;
  const std::vector<std::string> names = json.texts("architectures");
  return std::ranges::find(names, "CLIPTextModelWithProjection") != names.end();
}

}  // namespace

ClipTextConfig read_clip_text_config(const Component& component) {
  const ConfigJson json(component);
  expect_text(json, "model_type", {"clip_text_model"},
              "the text encoders of Stable Diffusion are CLIP's");
  ClipTextConfig config;
  config.vocabulary = count(json, "vocab_size", 49408);
  config.width = count(json, "hidden_size", 512);
  config.feed_forward_width = count(json, "intermediate_size", 2048);
  config.layers = count(json, "num_hidden_layers", 12, 0);
  config.heads = count(json, "num_attention_heads", 8);
  config.max_tokens = count(json, "max_position_embeddings", 77);
  config.activation = read_activation(json, "hidden_act", "quick_gelu");
  config.norm_eps = json.number("layer_norm_eps", 1e-5);
  config.end_token = count(json, "eos_token_id", 49407, 0);
  if (has_projection(json)) config.projection = count(json, "projection_dim", 512);
  if (config.width % config.heads != 0)
    json.refuse("num_attention_heads",
                str("expected a divisor of 'hidden_size' (", config.width, ")"));
  return config;
}

VaeConfig read_vae_config(const Component& component) {
  const ConfigJson json(component);
  expect_text(json, "_class_name", {"AutoencoderKL"});
  expect_absent(json, "latents_mean", "a latent normalised by channel");
  expect_absent(json, "latents_std", "a latent normalised by channel");
  VaeConfig config;
  config.latent_channels = count(json, "latent_channels", 4);
  if (count(json, "out_channels", 3) != 3) json.refuse("out_channels", "expected 3, an RGB image");
  config.norm = {.groups = count(json, "norm_num_groups", 32),
                 .eps = 1e-6,  // fixed in diffusers' Decoder
                 .activation = read_activation(json, "act_fn", "silu")};
  config.channels = read_channels(json, config.norm, {64});
  config.layers = count(json, "layers_per_block", 1);
  const auto types = json.has("up_block_types")
                         ? json.texts("up_block_types")
                         : std::vector<std::string>(config.channels.size(), "UpDecoderBlock2D");
  if (types != std::vector<std::string>(config.channels.size(), "UpDecoderBlock2D"))
    json.refuse("up_block_types",
                str("expected ", config.channels.size(), " of 'UpDecoderBlock2D'"));
  config.has_quant_conv = json.flag("use_quant_conv", true);
  config.has_post_quant_conv = json.flag("use_post_quant_conv", true);
  config.middle_attention = json.flag("mid_block_add_attention", true);
  config.scaling_factor = json.number("scaling_factor", 0.18215);
  config.shift_factor = json.number("shift_factor", 0.0);
  if (!(config.scaling_factor > 0)) json.refuse("scaling_factor", "expected more than 0");
  return config;
}

Prediction read_prediction(const Component& scheduler) {
  const ConfigJson json = scheduler_config(scheduler);
  const std::string key = "prediction_type";
  expect_text(json, key, {"epsilon", "v_prediction", "sample"});
  const std::string value = json.text(key, "epsilon");
  if (value == "v_prediction") return Prediction::Velocity;
  return value == "sample" ? Prediction::Sample : Prediction::Epsilon;
}

}  // namespace emulsion::models

#include "models/configs.h"

#include "check.h"

#include "emulsion/errors.h"

namespace emulsion::models {
namespace {

Component component(const std::string& config) { return {"m/part", config, {}}; }

// What a reader says to `config`, or nothing.
template <class Config>
std::string fault(Config (*read)(const Component&), const std::string& config) {
  try {
    read(component(config));
  } catch (const WeightError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("a UNet's config without keys is SD 1's apart from the width of its text") {
  const UnetConfig config = read_unet_config(component("{}"));
  CHECK(config.in_channels == 4);
  CHECK(config.time_width == 1280);
  CHECK(config.norm.groups == 32);
  CHECK(config.norm.eps == 1e-5);
  CHECK(config.flip_sin_to_cos);
  CHECK(config.context_width() == 1280);
  REQUIRE(config.down.size() == 4);
  CHECK(config.down[0].channels == 320);
  CHECK(config.down[0].heads == 8);
  CHECK(config.down[0].layers == 2);
  CHECK(config.down[2].transformer_layers == 1);
  CHECK(config.down[3].transformer_layers == 0);
  CHECK(config.up[0].transformer_layers == 0);
  CHECK(config.up[0].layers == 3);
  CHECK(config.up[3].channels == 320);
  CHECK(config.up[3].transformer_layers == 1);
  CHECK(config.middle.layers == 2);
  CHECK(config.middle.heads == 8);
}

TEST_CASE("a UNet's lists give each level its own") {
  const UnetConfig config = read_unet_config(component(
      R"({"block_out_channels": [64, 128], "attention_head_dim": [2, 4], "layers_per_block": [1, 3],
          "transformer_layers_per_block": [1, 2], "only_cross_attention": [true, false],
          "cross_attention_dim": 24, "time_embedding_dim": 100,
          "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
          "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
          "mid_block_type": null})"));
  CHECK(config.down[0].heads == 0);
  CHECK(config.down[1].heads == 4);
  CHECK(config.down[1].transformer_layers == 2);
  CHECK(config.up[0].layers == 4);
  CHECK(config.up[0].channels == 128);
  CHECK(!config.up[0].only_cross_attention);
  CHECK(config.up[1].heads == 2);
  CHECK(config.up[1].only_cross_attention);
  CHECK(config.middle.layers == 0);
  CHECK(config.time_width == 100);
  CHECK(config.context_width() == 24);
}

TEST_CASE("a UNet's way up has the depths that the config reverses, or others") {
  const std::string lists =
      R"("block_out_channels": [64, 128, 128], "attention_head_dim": [2, 4, 4],
         "transformer_layers_per_block": [1, 2, 10],
         "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
         "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"])";
  const UnetConfig mirrored = read_unet_config(component("{" + lists + "}"));
  CHECK(mirrored.down[0].transformer_layers == 0);
  CHECK(mirrored.down[2].transformer_layers == 10);
  CHECK(mirrored.middle.transformer_layers == 10);
  CHECK(mirrored.up[0].transformer_layers == 10);
  CHECK(mirrored.up[1].transformer_layers == 2);
  CHECK(mirrored.up[2].transformer_layers == 0);
  CHECK(mirrored.added_width == 0);
  const UnetConfig other = read_unet_config(
      component("{" + lists + R"(, "reverse_transformer_layers_per_block": [3, 4, 5]})"));
  CHECK(other.up[0].transformer_layers == 3);
  CHECK(other.up[1].transformer_layers == 4);
  CHECK(other.up[2].transformer_layers == 0);
  CHECK(other.middle.transformer_layers == 10);
}

TEST_CASE("a UNet of SDXL tells the widths of what is embedded beside the time") {
  const UnetConfig config = read_unet_config(
      component(R"({"addition_embed_type": "text_time", "addition_time_embed_dim": 256,
                    "projection_class_embeddings_input_dim": 2816})"));
  CHECK(config.size_width == 256);
  CHECK(config.added_width == 2816);
  CHECK(fault(read_unet_config, R"({"addition_embed_type": "text_time"})") ==
        "m/part: config 'addition_time_embed_dim' is absent: expected 1 to 16777216");
}

TEST_CASE("the number of heads is 'num_attention_heads' where a config has that") {
  const UnetConfig config =
      read_unet_config(component(R"({"num_attention_heads": 5, "attention_head_dim": 64})"));
  CHECK(config.down[0].heads == 5);
}

TEST_CASE("a UNet of another family is refused with what it is") {
  const auto said = [](const std::string& config) { return fault(read_unet_config, config); };
  CHECK(said(R"({"addition_embed_type": "image"})") ==
        "m/part: config 'addition_embed_type' is \"image\": expected 'text_time'; SDXL's is the "
        "only one supported");
  CHECK(said(R"({"in_channels": 9})") ==
        "m/part: config 'in_channels' is 9: expected 'out_channels' (4); inpainting models are not "
        "supported");
  CHECK(said(R"({"class_embed_type": "projection"})") ==
        "m/part: config 'class_embed_type' is \"projection\": expected none; a class embedding "
        "(unCLIP, upscaler) is not supported");
  CHECK(said(R"({"dual_cross_attention": true})") ==
        "m/part: config 'dual_cross_attention' is true: expected none; dual cross-attention is not "
        "supported");
  CHECK(said(R"({"resnet_time_scale_shift": "scale_shift"})") ==
        "m/part: config 'resnet_time_scale_shift' is \"scale_shift\": expected 'default'");
  CHECK(said(R"({"_class_name": "UNet3DConditionModel"})") ==
        "m/part: config '_class_name' is \"UNet3DConditionModel\": expected "
        "'UNet2DConditionModel'");
  CHECK(said(R"({"encoder_hid_dim": 4096})") ==
        "m/part: config 'encoder_hid_dim' is 4096: expected none; a projected text state "
        "(Kandinsky, IF) is not supported");
  CHECK(said(R"({"down_block_types": ["DownBlock2D", "SimpleCrossAttnDownBlock2D", "DownBlock2D",
                                      "DownBlock2D"]})")
            .ends_with("expected 'CrossAttnDownBlock2D' or 'DownBlock2D', got "
                       "'SimpleCrossAttnDownBlock2D'"));
}

TEST_CASE("a UNet's config that makes no sense is refused") {
  const auto said = [](const std::string& config) { return fault(read_unet_config, config); };
  CHECK(said(R"({"block_out_channels": [320, 641, 1280, 1280]})") ==
        "m/part: config 'block_out_channels' is [320,641,1280,1280]: expected multiples of "
        "'norm_num_groups' (32)");
  CHECK(said(R"({"block_out_channels": []})") ==
        "m/part: config 'block_out_channels' is []: expected 1 to 16 levels");
  CHECK(said(R"({"attention_head_dim": 7})") ==
        "m/part: config 'attention_head_dim' is 7: expected the number of heads, a divisor of 320 "
        "channels");
  CHECK(said(R"({"attention_head_dim": 0})") ==
        "m/part: config 'attention_head_dim' is 0: expected 1 to 4096");
  CHECK(said(R"({"norm_num_groups": 0})") ==
        "m/part: config 'norm_num_groups' is 0: expected 1 to 16777216");
  CHECK(said(R"({"layers_per_block": [2, 2]})") ==
        "m/part: config 'layers_per_block' is [2,2]: expected 4 numbers, one a level");
  CHECK(said(R"({"conv_in_kernel": 4})") ==
        "m/part: config 'conv_in_kernel' is 4: expected an odd number below 32");
  CHECK(said(R"({"only_cross_attention": [true]})") ==
        "m/part: config 'only_cross_attention' is [true]: expected true, false, or 4 of them, one "
        "a level");
  CHECK(said("[1]") == "m/part: the config is not a JSON object; fetch the file again");
  CHECK(said("") == "m/part: no config file; expected diffusers' folder layout");
}

TEST_CASE("a text encoder's config has transformers' defaults") {
  const ClipTextConfig config = read_clip_text_config(component("{}"));
  CHECK(config.vocabulary == 49408);
  CHECK(config.width == 512);
  CHECK(config.feed_forward_width == 2048);
  CHECK(config.layers == 12);
  CHECK(config.heads == 8);
  CHECK(config.max_tokens == 77);
  CHECK((config.activation == Activation::QuickGelu));
  CHECK(config.norm_eps == 1e-5);
  CHECK(config.projection == 0);
  CHECK(config.end_token == 49407);
  CHECK(read_clip_text_config(component(R"({"architectures": ["CLIPTextModelWithProjection"],
                                            "projection_dim": 1280})"))
            .projection == 1280);
}

TEST_CASE("a text encoder of another kind is refused") {
  const auto said = [](const std::string& config) { return fault(read_clip_text_config, config); };
  CHECK(said(R"({"model_type": "t5"})") ==
        "m/part: config 'model_type' is \"t5\": expected 'clip_text_model'; the text encoders of "
        "Stable Diffusion are CLIP's");
  CHECK(said(R"({"hidden_act": "tanh"})") ==
        "m/part: config 'hidden_act' is \"tanh\": expected 'silu', 'gelu', 'gelu_new', "
        "'quick_gelu', 'relu' or 'mish'");
  CHECK(said(R"({"hidden_size": 768, "num_attention_heads": 5})") ==
        "m/part: config 'num_attention_heads' is 5: expected a divisor of 'hidden_size' (768)");
}

TEST_CASE("a VAE's config has diffusers' defaults, and its upscale follows from its levels") {
  const VaeConfig config = read_vae_config(component(
      R"({"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2,
          "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D",
                             "UpDecoderBlock2D"]})"));
  CHECK(config.upscale() == 8);
  CHECK(config.scaling_factor == 0.18215);
  CHECK(config.shift_factor == 0);
  CHECK(config.has_post_quant_conv);
  CHECK(config.middle_attention);
  CHECK(config.latent_channels == 4);
}

TEST_CASE("a VAE of another kind is refused") {
  const auto said = [](const std::string& config) { return fault(read_vae_config, config); };
  CHECK(said(R"({"_class_name": "AutoencoderTiny"})") ==
        "m/part: config '_class_name' is \"AutoencoderTiny\": expected 'AutoencoderKL'");
  CHECK(said(R"({"latents_mean": [0.1]})") ==
        "m/part: config 'latents_mean' is [0.1]: expected none; a latent normalised by channel is "
        "not supported");
  CHECK(said(R"({"up_block_types": ["AttnUpDecoderBlock2D"]})") ==
        "m/part: config 'up_block_types' is [\"AttnUpDecoderBlock2D\"]: expected 1 of "
        "'UpDecoderBlock2D'");
  CHECK(said(R"({"scaling_factor": 0})") ==
        "m/part: config 'scaling_factor' is 0: expected more than 0");
}

TEST_CASE("what a UNet predicts is the scheduler's to say") {
  const auto read = [](const std::string& config) { return read_prediction(component(config)); };
  CHECK((read("{}") == Prediction::Epsilon));
  CHECK((read(R"({"prediction_type": "v_prediction"})") == Prediction::Velocity));
  CHECK((read(R"({"prediction_type": "sample"})") == Prediction::Sample));
  CHECK(fault(read_prediction, R"({"prediction_type": "flow"})") ==
        "m/part: config 'prediction_type' is \"flow\": expected 'epsilon', 'v_prediction', "
        "'sample'");
}

}  // namespace
}  // namespace emulsion::models

#include "check.h"

#include "models/clip_text.h"
#include "models/unet.h"
#include "models/vae.h"
#include "models/vae_encoder.h"

// The published sizes, from the configs alone: nothing is allocated.
namespace emulsion::models {
namespace {

Component component(const std::string& config) { return {"m/part", config, {}}; }

WeightView no_weights() {
  WeightSet set{"m/part", {}};
  set.header_only = true;
  return WeightView(std::make_shared<const WeightSet>(std::move(set)));
}

std::int64_t unet_parameters(const std::string& config) {
  const WeightView view = no_weights();
  const Unet unet(view, read_unet_config(component(config)));
  return view.parameters();
}

std::int64_t text_parameters(const std::string& config, const ClipTextChoice& choice = {}) {
  const WeightView view = no_weights();
  const ClipText encoder(view, read_clip_text_config(component(config)), choice);
  return view.parameters();
}

constexpr const char* kTextL =
    R"({"architectures": ["CLIPTextModel"], "hidden_size": 768, "intermediate_size": 3072,
        "num_attention_heads": 12, "num_hidden_layers": 12, "projection_dim": 768})";
constexpr const char* kTextBigG =
    R"({"architectures": ["CLIPTextModelWithProjection"], "hidden_size": 1280, "hidden_act": "gelu",
        "intermediate_size": 5120, "num_attention_heads": 20, "num_hidden_layers": 32,
        "projection_dim": 1280})";

TEST_CASE("SDXL's base UNet has 2,567,463,684 parameters") {
  CHECK(unet_parameters(
            R"({"addition_embed_type": "text_time", "addition_time_embed_dim": 256,
                "attention_head_dim": [5, 10, 20], "block_out_channels": [320, 640, 1280],
                "cross_attention_dim": 2048, "layers_per_block": 2,
                "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
                "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
                "projection_class_embeddings_input_dim": 2816, "use_linear_projection": true,
                "transformer_layers_per_block": [1, 2, 10]})") == 2567463684);
}

TEST_CASE("SDXL's refiner has 2,259,526,660 parameters") {
  CHECK(unet_parameters(
            R"({"addition_embed_type": "text_time", "addition_time_embed_dim": 256,
                "attention_head_dim": [6, 12, 24, 24], "cross_attention_dim": 1280,
                "block_out_channels": [384, 768, 1536, 1536], "layers_per_block": 2,
                "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D",
                                     "DownBlock2D"],
                "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D",
                                   "UpBlock2D"],
                "projection_class_embeddings_input_dim": 2560, "use_linear_projection": true,
                "transformer_layers_per_block": 4})") == 2259526660);
}

TEST_CASE("the UNets of SD 1.5 and 2.1 have 859,520,964 and 865,910,724 parameters") {
  CHECK(unet_parameters(R"({"cross_attention_dim": 768, "attention_head_dim": 8})") == 859520964);
  CHECK(unet_parameters(R"({"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20],
                            "use_linear_projection": true})") == 865910724);
}

TEST_CASE("SDXL's text encoders have 123,060,480 and 694,659,840 parameters") {
  CHECK(text_parameters(kTextL) == 123060480);
  CHECK(text_parameters(kTextBigG) == 694659840);
}

TEST_CASE("the text encoder of SD 2 has 340,387,840 parameters") {
  CHECK(text_parameters(
            R"({"architectures": ["CLIPTextModel"], "hidden_size": 1024, "hidden_act": "gelu",
                "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 23,
                "projection_dim": 512})") == 340387840);
}

TEST_CASE("the VAE has 83,653,863 parameters") {
  const VaeConfig config = read_vae_config(
      component(R"({"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2,
                    "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D",
                                         "DownEncoderBlock2D", "DownEncoderBlock2D"],
                    "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D",
                                       "UpDecoderBlock2D"]})"));
  const WeightView decoding = no_weights(), encoding = no_weights();
  const VaeDecoder decoder(decoding, config);
  const VaeEncoder encoder(encoding, config);
  CHECK(decoding.parameters() + encoding.parameters() == 83653863);
}

TEST_CASE("of SDXL's first text encoder the last layer and the norm are not needed") {
  const std::int64_t layer = 4 * (768 * 768 + 768) + 2 * 768 * 3072 + 3072 + 768 + 4 * 768;
  CHECK(text_parameters(kTextL, {.skipped = 1, .normed = false}) == 123060480 - layer - 2 * 768);
  CHECK(text_parameters(kTextBigG, {.skipped = 1, .normed = false}) == 694659840);
}

}  // namespace
}  // namespace emulsion::models

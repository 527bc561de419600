#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "emulsion/weights.h"

// The configs of a model's parts, as diffusers and transformers write them.  A key that is absent
// has the default that they have.  Each reader throws WeightError, naming place and key, on a value
// that is not supported or makes no sense.  [any thread]
namespace emulsion::models {

enum class Activation : std::uint8_t { Silu, Gelu, GeluTanh, QuickGelu, Relu, Mish };

struct ClipTextConfig {
  std::int64_t vocabulary = 0, width = 0, feed_forward_width = 0, layers = 0, heads = 0;
  std::int64_t max_tokens = 0;
  Activation activation = Activation::QuickGelu;
  double norm_eps = 0;
  std::int64_t projection = 0;  // width of the pooled state; 0: the encoder has none
  std::int64_t end_token = 0;   // whose state is pooled; see end_position()
};

ClipTextConfig read_clip_text_config(const Component& component);

// What the norms and activations of a UNet's or VAE's blocks share.
struct NormConfig {
  std::int64_t groups = 0;
  double eps = 0;
  Activation activation = Activation::Silu;
};

struct UnetConfig {
  // Blocks of one size.  `layers` counts residual blocks; each has a transformer behind it where
  // `transformer_layers` is not 0.
  struct Level {
    std::int64_t channels = 0, layers = 0, transformer_layers = 0, heads = 0, context_width = 0;
    bool only_cross_attention = false;
  };

  std::int64_t in_channels = 0, out_channels = 0, conv_in_kernel = 0, conv_out_kernel = 0;
  std::int64_t downsample_padding = 0;
  std::vector<Level> down, up;  // in running order: up begins with the innermost level
  Level middle;                 // layers: 0 without a middle block, 1 without attention, else 2
  double middle_scale = 1;      // divides what the middle's residual blocks give
  NormConfig norm;
  std::int64_t time_width = 0;  // of the time embedding
  bool flip_sin_to_cos = true;
  double freq_shift = 0;
  // SDXL: what is embedded beside the time.  It is a pooled text state and, for each of a few
  // sizes, a sinusoid of size_width; 0: nothing.
  std::int64_t added_width = 0, size_width = 0;

  std::int64_t context_width() const;  // of the text states; 0 when nothing attends to them
};

UnetConfig read_unet_config(const Component& component);

// An autoencoder between pictures and latents.
struct VaeConfig {
  std::int64_t latent_channels = 0;
  std::vector<std::int64_t> channels;  // outermost level first
  std::int64_t layers = 0;             // of an encoder's level; a decoder's has one more
  NormConfig norm;
  bool has_quant_conv = true, has_post_quant_conv = true, middle_attention = true;
  double scaling_factor = 1, shift_factor = 0;  // latent = (encoded - shift) * scaling

  // Pixels of the image to one of the latent, on a side.
  std::int64_t upscale() const { return std::int64_t{1} << (channels.size() - 1); }
};

VaeConfig read_vae_config(const Component& component);

// "epsilon", "v_prediction" or "sample": what a UNet of this scheduler's config gives.
enum class Prediction : std::uint8_t { Epsilon, Velocity, Sample };

Prediction read_prediction(const Component& scheduler);

}  // namespace emulsion::models

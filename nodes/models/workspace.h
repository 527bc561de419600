#pragma once

#include <cstdint>

#include "emulsion/memory.h"
#include "models/configs.h"

// Upper bounds, in bytes, of what a model allocates while it runs: its temporaries and its result
// in the model's dtype; its inputs and weights are not counted.  Pure functions of shapes, so that
// a plan knows them before anything is loaded.  They follow the models' code line by line.
// [any thread]
namespace emulsion::models {

// A batch of feature maps: B, H, W.
struct MapBatch {
  std::int64_t batch = 0, height = 0, width = 0;

  std::int64_t pixels() const { return batch * height * width; }
};

Bytes clip_text_workspace(const ClipTextConfig& config, std::int64_t batch, std::int64_t tokens,
                          c10::ScalarType dtype);

// `latent` is what the UNet sees: with guidance in one batch, twice the images.
Bytes unet_workspace(const UnetConfig& config, const MapBatch& latent, std::int64_t context_tokens,
                     c10::ScalarType dtype);

Bytes vae_decode_workspace(const VaeConfig& config, const MapBatch& latent, c10::ScalarType dtype);

}  // namespace emulsion::models

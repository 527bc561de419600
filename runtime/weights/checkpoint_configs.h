#pragma once

#include <string>

#include "weights/checkpoint.h"

namespace emulsion {

// The config, as diffusers and transformers write it, of a part of a single file ("unet", "vae",
// "text_encoder", "text_encoder_2", "scheduler", "tokenizer", "tokenizer_2"), or "model_index":
// sizes are those of the tensors, the rest is what the family has.  Empty where the checkpoint does
// not tell.  [any thread]
std::string checkpoint_config(const Checkpoint& checkpoint, const std::string& part);

}  // namespace emulsion

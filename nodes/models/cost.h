#pragma once

#include <cstdint>
#include <optional>

#include "emulsion/memory.h"
#include "emulsion/weights.h"
#include "emulsion/work.h"
#include "models/configs.h"

// What a model needs for one pass: pure functions of shapes that follow the models' code line by
// line, so that a plan knows them before anything is loaded.  [any thread]
namespace emulsion::models {

struct Cost {
  // Upper bound of what the model allocates while it runs: its temporaries and its result in its
  // dtype; inputs and weights are not counted.
  Bytes workspace = 0;
  Work work;
  // That a CPU takes besides, or less: its products have kernels of their own; see layers.h.
  Bytes cpu_workspace = 0;
};

// The same work done so many times.
Work repeated(const Work& work, double times);

// What layers do besides the products with their weights: what runs beside these, see Branch, and
// packed ones are unpacked.
struct BranchLoad {
  struct Kind {
    double parameters = 0;  // for each parameter of the weights
    double count = 0;       // for each weight
    std::int64_t rank = 0;  // the largest
    double packed = 0;      // the part of the parameters that are packed
  };
  Kind linears, convolutions;
};

// Of a model's weights, the headers of which are enough.
BranchLoad branch_load(const WeightView& weights);

// A batch of feature maps: B, H, W.
struct MapBatch {
  std::int64_t batch = 0, height = 0, width = 0;

  std::int64_t pixels() const { return batch * height * width; }
};

Cost clip_text_cost(const ClipTextConfig& config, std::int64_t batch, std::int64_t tokens,
                    c10::ScalarType dtype, const BranchLoad& branches = {});

// What an evaluation of a UNet leaves out.
struct UnetShortcuts {
  std::optional<std::int64_t> outside;  // this branch's features are given, see DeepFeatures
  double merge_ratio = 0;               // see TokenMerging
  bool keeps_text = false;              // keys and values of the text: see unet_text_cost
};

// `latent` is what the UNet sees: with guidance in one batch, twice the images.
Cost unet_cost(const UnetConfig& config, const MapBatch& latent, std::int64_t context_tokens,
               c10::ScalarType dtype, const BranchLoad& branches = {},
               const UnetShortcuts& shortcuts = {});

// Keys and values that cross-attention makes of `rows` tokens of texts.
struct TextCost {
  Bytes bytes = 0;  // of all of them
  Work work;
};
TextCost unet_text_cost(const UnetConfig& config, std::int64_t rows, c10::ScalarType dtype,
                        const BranchLoad& branches = {});

// `in_tiles`: of a picture, whose statistics its norms are given.
Cost vae_decode_cost(const VaeConfig& config, const MapBatch& latent, c10::ScalarType dtype,
                     const BranchLoad& branches = {}, bool in_tiles = false);

// `image` in pixels.
Cost vae_encode_cost(const VaeConfig& config, const MapBatch& image, c10::ScalarType dtype,
                     const BranchLoad& branches = {}, bool in_tiles = false);

}  // namespace emulsion::models

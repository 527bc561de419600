#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "emulsion/weights.h"
#include "kernels/conv.h"
#include "kernels/linear.h"
#include "models/configs.h"

// Letters of dimensions, in all models:
//   B batch   C channels   H W height and width of a feature map   h w of the latent
//   L tokens or positions   S tokens that are attended to   D width of a token's state
//   N heads   K width of a head   E width of the time embedding
//
// A layer is a struct of weight handles.  Its constructor takes the weights by name and shape, so
// that the same code checks a header (tensors undefined) and builds a model that runs.
// [any thread; weights are shared and read-only]
namespace emulsion::models {

// Asks whether to go on, and throws if not; models call it between their blocks.
using Checkpoint = std::function<void()>;

// The operations of the models, one function each; where one has forms of its own, it is a kernel.
using kernels::conv2d;
using kernels::ConvFusion;
using kernels::ConvShape;
using kernels::in_map_layout;
using kernels::linear;

// In place: x is the caller's own.
void activate_(at::Tensor& x, Activation activation);

// Nearest neighbour to [B, C, height, width].
at::Tensor upsample(const at::Tensor& x, std::int64_t height, std::int64_t width);

// [B, C, H, W] -> [B, H*W, C]; a view when the map is channels last, else a copy.
at::Tensor tokens_of(const at::Tensor& map);
// [B, H*W, C] -> [B, C, H, W] in the layout of maps.
at::Tensor map_of(const at::Tensor& tokens, std::int64_t height, std::int64_t width);

// Hu et al. 2021, "LoRA": what runs beside a weight and is added to what it gives, scale included.
// Linear: down [r, in], up [out, r]; convolution: down [r, in, kernel, kernel], up [out, r, 1, 1].
struct LowRank {
  at::Tensor down, up;
  double scale;
};

struct Linear {
  Weight weight;    // [out, in], also packed; see kernels/linear.h
  at::Tensor bias;  // undefined: none
  std::vector<LowRank> branches;

  Linear(const WeightView& w, std::int64_t in, std::int64_t out, bool has_bias = true);
  at::Tensor operator()(const at::Tensor& x) const;
  void add_to_(at::Tensor& y, const at::Tensor& x) const;
};

struct Conv2d {
  ConvShape shape;
  Weight weight;  // [out, in, kernel, kernel], also packed
  at::Tensor bias;
  std::vector<LowRank> branches;

  Conv2d(const WeightView& w, const ConvShape& conv_shape);
  at::Tensor operator()(const at::Tensor& x, const ConvFusion& fusion = {}) const;
  void add_to_(at::Tensor& y, const at::Tensor& x) const;
};

// A 3x3 convolution of the map that nearest neighbours bring to another size.
at::Tensor upsampled(at::Tensor x, const Conv2d& conv, std::int64_t height, std::int64_t width);

// Halves the size by a convolution with stride 2.  Without padding of its own, one column and row
// of zeros are added at the far sides.
at::Tensor downsampled(const at::Tensor& x, const Conv2d& conv);

struct LayerNorm {
  at::Tensor weight, bias;
  double eps;

  LayerNorm(const WeightView& w, std::int64_t width, double norm_eps);
  at::Tensor operator()(const at::Tensor& x) const;
};

class NormStatistics;

// With `statistics`, these decide instead of the input; see norm_statistics.h.
struct GroupNorm {
  at::Tensor weight, bias;
  NormConfig config;

  GroupNorm(const WeightView& w, std::int64_t channels, const NormConfig& norm);
  at::Tensor operator()(const at::Tensor& x, NormStatistics* statistics = nullptr) const;
  kernels::GroupNormWeights weights() const;
  // With the config's activation after it.
  at::Tensor activated(const at::Tensor& x, NormStatistics* statistics = nullptr) const;
};

// He et al. 2016 in the form of Ho et al. 2020, appendix B: norm, activation and convolution twice,
// with the time embedding added between them.
struct ResnetBlock {
  struct Shape {
    std::int64_t in = 0, out = 0;
    std::int64_t time = 0;  // E; 0: without time
    double scale = 1;       // divides the result
  };

  Shape shape;
  GroupNorm norm1, norm2;
  Conv2d conv1, conv2;
  std::optional<Linear> time_emb_proj;
  std::optional<Conv2d> conv_shortcut;  // where the number of channels changes

  ResnetBlock(const WeightView& w, const Shape& block, const NormConfig& norm);
  // x [B, in, H, W], time [1 or B, E] after its activation, ignored without time -> [B, out, H, W]
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& time,
                        NormStatistics* statistics = nullptr) const;
};

}  // namespace emulsion::models

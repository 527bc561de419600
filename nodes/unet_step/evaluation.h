#pragma once

#include <vector>

#include "emulsion/node.h"
#include "models/unet.h"

namespace emulsion {

inline constexpr const char* kBatched = "batched";
inline constexpr const char* kSequential = "sequential";
inline constexpr const char* kOneByOne = "one_by_one";

// Whether conditions of so many tokens are evaluated in one batch.
bool batches(const std::string& variant, std::int64_t negative, std::int64_t positive);

// How guidance is applied to what the UNet predicts.
struct Guidance {
  double scale = 1;    // 1: the negative condition is not evaluated
  double rescale = 0;  // see guidance_rescale
};

// The deep features of the conditions, each of all pictures [B, C, H, W], by the condition's port.
struct KeptFeatures {
  std::int64_t branch = 0;
  bool reuses = false;  // else the evaluation makes them
  Bundle maps;
};

// What an evaluation is told besides its sample.
struct EvaluationOptions {
  double timestep = 0;
  Guidance guidance = {};
  KeptFeatures* kept = nullptr;  // null: none are made or used
  models::TokenMerging merging = {};
  Memo* memo = nullptr;  // for keys and values of the conditions; null: they are made each time
};

// One step's evaluations of the UNet, in the way of the context's variant.  [run thread]
class Evaluation {
 public:
  Evaluation(const RunContext& context, const models::Unet& unet, const EvaluationOptions& options)
      : context_(context), unet_(unet), options_(options) {}

  // What the model predicts of sample [B, C, h, w]: the same shape, in float32 and the caller's
  // own.
  at::Tensor operator()(const at::Tensor& sample) const;

 private:
  using Ports = std::vector<const char*>;

  // Samples of the pictures from `first` on.
  at::Tensor predict(const at::Tensor& sample, std::int64_t first) const;
  at::Tensor guided(const at::Tensor& sample, std::int64_t first) const;
  at::Tensor evaluate(const at::Tensor& sample, models::UnetCondition condition, const Ports& ports,
                      std::int64_t first) const;
  Bundle* made_of(const Ports& ports) const;
  at::Tensor kept_map(const Ports& ports, std::int64_t first, std::int64_t count) const;
  void keep(const at::Tensor& map, const Ports& ports, std::int64_t first) const;

  const RunContext& context_;
  const models::Unet& unet_;
  EvaluationOptions options_;
};

}  // namespace emulsion

#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "weights/safetensors.h"
#include "weights/weight_store.h"

// The tiny models in tests/reference, and what diffusers computes with them.
namespace emulsion::fakes {

inline const char* const kReferenceModels[] = {"sd15_like", "sd21_base_like", "sd21_v_like"};

inline const char* const kSdxlModels[] = {"sdxl_like", "sdxl_refiner_like"};

inline std::filesystem::path reference_model(const std::string& name) {
  return std::filesystem::path("reference") / name;
}

// What diffusers computed with it, by name: see reference/README.md.
inline std::map<std::string, at::Tensor> reference_tensors(const std::string& name) {
  return read_safetensors(reference_model(name) / "reference.safetensors");
}

// A part of a model with its weights.
struct LoadedPart {
  std::shared_ptr<const Component> component;
  std::shared_ptr<const WeightSet> weights;

  WeightView view() const { return WeightView(weights); }
  // As a forecast sees it: a model that is built from it has all of its names checked.
  WeightSet header() const {
    WeightSet set = *weights;
    set.header_only = true;
    for (auto& [name, weight] : set.weights) weight.data = at::Tensor();
    return set;
  }
};

inline LoadedPart load_part(const std::filesystem::path& model, const std::string& part,
                            c10::ScalarType dtype = c10::kFloat) {
  const OpenComponent open = open_component(model, part);
  return {open.component, load(open, all_of(open), WeightPlace{}, dtype)};
}

// The same with all packed that a model can work with packed, as int8 if the file has it plain.
template <class Model, class Config>
LoadedPart load_packed_part(const std::filesystem::path& model, const std::string& part,
                            c10::ScalarType dtype, const Config& config) {
  OpenComponent open = open_component(model, part);
  open.packing = Packing::Int8;
  const WeightView header(header_of(open, dtype));
  const Model forecast(header, config);
  WeightSelection selection = all_of(open);
  selection.packed = header.use().packed;
  return {open.component, load(open, selection, WeightPlace{}, dtype)};
}

// Largest distance of `got` from `want`, for shapes that are equal.
inline double distance(const at::Tensor& got, const at::Tensor& want) {
  if (got.sizes() != want.sizes()) return 1e30;
  return got.to(at::kDouble).sub(want.to(at::kDouble)).abs().max().item<double>();
}

}  // namespace emulsion::fakes

#include "weights/checkpoint.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "weights/checkpoint_parts.h"
#include "weights/checkpoint_settings.h"
#include "weights/weight_store.h"

namespace emulsion {
namespace {

// The axis of a tensor, or 0 where there is none.
std::int64_t size_of(const StoredTensors& tensors, std::string_view name, std::size_t axis) {
  const auto found = tensors.find(name);
  if (found == tensors.end() || found->second.spec.shape.size() <= axis) return 0;
  return found->second.spec.shape[axis];
}

std::int64_t context_width(const StoredTensors& unet) {
  for (const auto& [name, stored] : unet)
    if (name.ends_with("attn2.to_k.weight")) return stored.spec.shape.back();
  return 0;
}

bool has_linear_projections(const StoredTensors& unet) {
  for (const auto& [name, stored] : unet)
    if (name.ends_with(".proj_in.weight")) return stored.spec.shape.size() == 2;
  return false;
}

Family family_of_unet(const Checkpoint& checkpoint, const StoredTensors& unet) {
  constexpr std::int64_t kRefinerContext = 1280, kSd2Context = 1024;
  const bool first = checkpoint.has("text_encoder"), second = checkpoint.has("text_encoder_2");
  if (unet.contains("add_embedding.linear_1.weight")) {
    const bool refiner = first || second ? !first : context_width(unet) == kRefinerContext;
    return refiner ? Family::SdxlRefiner : Family::Sdxl;
  }
  if (checkpoint.has("text_encoder") && !checkpoint.parts.at("text_encoder").prefix.empty()) {
    const bool open_clip = checkpoint.parts.at("text_encoder").prefix == "cond_stage_model.model.";
    return open_clip || context_width(unet) == kSd2Context ? Family::StableDiffusion2
                                                           : Family::StableDiffusion1;
  }
  return has_linear_projections(unet) ? Family::StableDiffusion2 : Family::StableDiffusion1;
}

// The parameters of v models have drifted further from their start: ComfyUI's test.  It needs no
// run of the UNet, and a user's own word or metadata goes before it.
FoundPrediction guessed_by_spread(const Checkpoint& checkpoint, const CheckpointHeader& header) {
  constexpr double kLimit = 0.09;
  const StoredTensors& unet = checkpoint.parts.at("unet").tensors;
  const auto found = unet.find("up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias");
  if (found == unet.end() || found->second.spec.shape.size() != 1 ||
      found->second.packing != Packing::None)
    return {"epsilon", "the usual for this family"};
  const c10::InferenceMode no_autograd;
  const at::Tensor bias = read_tensor(header.path, found->second);
  const bool velocity = bias.to(at::kDouble).std().item<double>() > kLimit;
  return {velocity ? "v_prediction" : "epsilon",
          str("the spread of a norm's bias is ", velocity ? "above " : "at most ", kLimit)};
}

// A user's override and a scheduler's config go before all of this.
FoundPrediction prediction_of(const Checkpoint& checkpoint, const CheckpointHeader& header) {
  const auto& [path, tensors, metadata] = header;
  const bool zero_snr = tensors.contains("ztsnr");
  if (const auto told = metadata.find("modelspec.prediction_type"); told != metadata.end()) {
    const bool velocity = told->second == "v" || told->second == "v_prediction";
    const char* const type = velocity                   ? "v_prediction"
                             : told->second == "sample" ? "sample"
                                                        : "epsilon";
    return {type, "metadata modelspec.prediction_type", zero_snr};
  }
  for (const char* key : {"edm_mean", "edm_vpred.sigma_max"})
    if (tensors.contains(key)) return {"edm", str("the marker '", key, "'")};
  if (tensors.contains("v_pred")) return {"v_prediction", "the marker 'v_pred'", zero_snr};
  if (checkpoint.family == Family::StableDiffusion2) return guessed_by_spread(checkpoint, header);
  return {"epsilon", "the usual for this family"};
}

// A bare OpenCLIP or CLIP file of the width of SDXL's second encoder is that one.
void place_second_encoder(Checkpoint& checkpoint) {
  if (checkpoint.family != Family::Sdxl || checkpoint.has("unet")) return;
  if (checkpoint.has("text_encoder_2") || !checkpoint.has("text_encoder")) return;
  auto part = checkpoint.parts.extract("text_encoder");
  part.key() = "text_encoder_2";
  checkpoint.parts.insert(std::move(part));
}

}  // namespace

std::string to_text(Family family) {
  switch (family) {
    case Family::StableDiffusion1: return "Stable Diffusion 1";
    case Family::StableDiffusion2: return "Stable Diffusion 2";
    case Family::Sdxl: return "Stable Diffusion XL";
    case Family::SdxlRefiner: return "Stable Diffusion XL refiner";
    case Family::Unknown: break;
  }
  return "unknown";
}

// Without a UNet, the width of the text states tells.
Family family_of(const Checkpoint& checkpoint) {
  constexpr std::int64_t kWidthOfL = 768, kWidthOfH = 1024, kWidthOfG = 1280;
  if (const auto unet = checkpoint.parts.find("unet"); unet != checkpoint.parts.end())
    return family_of_unet(checkpoint, unet->second.tensors);
  if (checkpoint.has("text_encoder_2")) return Family::Sdxl;
  const auto text = checkpoint.parts.find("text_encoder");
  if (text == checkpoint.parts.end()) return Family::Unknown;
  const std::int64_t width =
      std::max(size_of(text->second.tensors, "text_model.final_layer_norm.weight", 0),
               size_of(text->second.tensors, "final_layer_norm.weight", 0));
  if (width == kWidthOfL) return Family::StableDiffusion1;
  if (width == kWidthOfH) return Family::StableDiffusion2;
  return width == kWidthOfG ? Family::Sdxl : Family::Unknown;
}

CheckpointHeader header_of(const TensorFile& file) {
  return {file.path(), file.tensors(), file.metadata()};
}

Checkpoint read_checkpoint(const std::filesystem::path& path) {
  std::shared_ptr<const TensorFile> file = open_tensor_file(path);
  Checkpoint checkpoint = read_checkpoint(header_of(*file), read_checkpoint_settings(path));
  checkpoint.file = std::move(file);
  return checkpoint;
}

Checkpoint read_checkpoint(const CheckpointHeader& header, const CheckpointSettings& settings) {
  Checkpoint checkpoint;
  find_parts(header, checkpoint);
  checkpoint.family = family_of(checkpoint);
  place_second_encoder(checkpoint);
  if (settings.family) checkpoint.family = *settings.family;
  if (checkpoint.has("unet")) checkpoint.prediction = prediction_of(checkpoint, header);
  if (!settings.prediction.empty())
    checkpoint.prediction = {settings.prediction, settings_beside(header.path).filename().string(),
                             checkpoint.prediction.zero_snr};
  checkpoint.changes = settings.changes;
  return checkpoint;
}

Checkpoint checkpoint_of_folder(const std::filesystem::path& model) {
  Checkpoint checkpoint;
  std::error_code unreadable;
  for (const auto& entry : std::filesystem::directory_iterator(model, unreadable)) {
    if (!entry.is_directory()) continue;
    const std::string name = entry.path().filename().string();
    CheckpointPart part;
    for (const auto& file : open_component(model, name).files)
      part.tensors.insert(file->tensors().begin(), file->tensors().end());
    if (!part.tensors.empty()) checkpoint.parts.emplace(name, std::move(part));
  }
  checkpoint.family = family_of(checkpoint);
  return checkpoint;
}

}  // namespace emulsion

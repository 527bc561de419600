#include "weights/checkpoint_parts.h"

#include <algorithm>
#include <array>
#include <set>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "weights/tensor_names.h"

namespace emulsion {
namespace {

// A part is there when the file has prefix + marker.
struct Pattern {
  const char* part;
  const char* prefix;
  const char* marker;
  Renaming (*rename)(const TensorNames&);
};

constexpr const char *kLdmUnet = "input_blocks.0.0.weight",
                     *kUnet = "time_embedding.linear_1.weight",
                     *kLdmVae = "decoder.mid.block_1.norm1.weight",
                     *kVae = "decoder.mid_block.resnets.0.norm1.weight",
                     *kClip = "text_model.embeddings.token_embedding.weight",
                     *kBareClip = "embeddings.token_embedding.weight",
                     *kOpenClip = "transformer.resblocks.0.ln_1.weight",
                     *kOpenClipG = "transformer.resblocks.31.ln_1.weight";

// Whole checkpoints, files that other programs keep for a part, and bare parts, in this order.
constexpr auto kPatterns = std::to_array<Pattern>({
    {"unet", "model.diffusion_model.", kLdmUnet, rename_ldm_unet},
    {"unet", "diffusion_model.", kLdmUnet, rename_ldm_unet},
    {"unet", "unet.", kUnet, keep_names},
    {"vae", "first_stage_model.", kLdmVae, rename_ldm_vae},
    {"vae", "vae.", kLdmVae, rename_ldm_vae},
    {"vae", "vae.", kVae, keep_names},
    {"text_encoder", "cond_stage_model.transformer.", kClip, keep_names},
    {"text_encoder", "cond_stage_model.transformer.", kBareClip, keep_names},
    {"text_encoder", "cond_stage_model.model.", kOpenClip, rename_open_clip_penultimate},
    {"text_encoder", "conditioner.embedders.0.transformer.", kClip, keep_names},
    {"text_encoder", "clip_l.transformer.", kClip, keep_names},
    {"text_encoder", "text_encoders.clip_l.transformer.", kClip, keep_names},
    {"text_encoder", "clip_h.transformer.", kClip, keep_names},
    {"text_encoder", "text_encoders.clip_h.transformer.", kClip, keep_names},
    {"text_encoder", "text_encoder.", kClip, keep_names},
    {"text_encoder", "text_encoder.", kBareClip, keep_names},
    {"text_encoder_2", "conditioner.embedders.1.model.", kOpenClip, rename_open_clip},
    {"text_encoder_2", "conditioner.embedders.0.model.", kOpenClip, rename_open_clip},
    {"text_encoder_2", "clip_g.transformer.", kClip, keep_names},
    {"text_encoder_2", "text_encoders.clip_g.transformer.", kClip, keep_names},
    {"text_encoder_2", "text_encoder_2.", kClip, keep_names},
    {"text_encoder_2", "text_encoder_2.", kBareClip, keep_names},
    {"unet", "", kLdmUnet, rename_ldm_unet},
    {"unet", "", kUnet, keep_names},
    {"vae", "", kLdmVae, rename_ldm_vae},
    {"vae", "", kVae, keep_names},
    {"text_encoder", "", kClip, keep_names},
    {"text_encoder", "", kBareClip, keep_names},
    {"text_encoder_2", "", kOpenClipG, rename_open_clip},
    {"text_encoder", "", kOpenClip, rename_open_clip_penultimate},
});

// Of training, and of what the engine's configs say.
bool is_unneeded(const std::string& name) {
  static const std::set<std::string, std::less<>> exact = {"v_pred",
                                                           "ztsnr",
                                                           "edm_mean",
                                                           "edm_std",
                                                           "logvar",
                                                           "alphas_cumprod",
                                                           "alphas_cumprod_prev",
                                                           "betas",
                                                           "scale_factor",
                                                           "global_step",
                                                           "edm_vpred.sigma_max",
                                                           "edm_vpred.sigma_min",
                                                           "log_one_minus_alphas_cumprod",
                                                           "sqrt_alphas_cumprod",
                                                           "sqrt_one_minus_alphas_cumprod",
                                                           "sqrt_recip_alphas_cumprod",
                                                           "sqrt_recipm1_alphas_cumprod",
                                                           "posterior_variance",
                                                           "posterior_log_variance_clipped",
                                                           "posterior_mean_coef1",
                                                           "posterior_mean_coef2"};
  if (exact.contains(name)) return true;
  constexpr std::array<const char*, 4> kPrefixes = {"model_ema.", "denoiser.", "loss.",
                                                    "cond_stage_model.logit_scale"};
  return std::ranges::any_of(kPrefixes,
                             [&](const char* prefix) { return name.starts_with(prefix); });
}

StoredTensor stored_as(const CheckpointHeader& header, const std::string& source,
                       const TensorAlias& alias) {
  StoredTensor stored = header.tensors.find(source)->second;
  std::vector<std::int64_t>& shape = stored.spec.shape;
  const auto refuse = [&](const std::string& expected) {
    throw WeightError(emulsion::str(header.path.string(), ": tensor '", source, "' has shape ",
                                    c10::IntArrayRef(shape), ": expected ", expected,
                                    "; fetch the file again"));
  };
  if (alias.parts > 1) {
    if (shape.empty() || shape.front() % alias.parts != 0)
      refuse(str(alias.parts, " equal parts on the first axis"));
    shape.front() /= alias.parts;
    stored.begin += static_cast<std::uint64_t>(alias.part * stored.bytes());
  }
  if (alias.transposed) {
    if (shape.size() != 2) refuse("two axes");
    std::ranges::reverse(shape);
    stored.transposed = true;
  }
  if (alias.pointwise && shape.size() == 4 && shape[2] == 1 && shape[3] == 1) shape.resize(2);
  return stored;
}

void add_part(const Pattern& pattern, const CheckpointHeader& header, Checkpoint& checkpoint,
              std::set<std::string>& taken) {
  TensorNames names;
  const std::string prefix = pattern.prefix;
  for (const auto& [name, stored] : header.tensors)
    if (name.starts_with(prefix)) names.push_back(name.substr(prefix.size()));
  Renaming renaming = pattern.rename(names);
  CheckpointPart part{prefix, {}, {}, {}};
  for (const TensorAlias& alias : renaming.tensors) {
    const std::string source = prefix + alias.source;
    if (!part.tensors.emplace(alias.name, stored_as(header, source, alias)).second)
      renaming.unknown.push_back(alias.source);
    taken.insert(source);
  }
  for (const std::string& name : renaming.unneeded) part.unneeded.push_back(prefix + name);
  if (!prefix.empty())  // else they may belong to anything
    for (const std::string& name : renaming.unknown) part.unknown.push_back(prefix + name);
  taken.insert(part.unneeded.begin(), part.unneeded.end());
  taken.insert(part.unknown.begin(), part.unknown.end());
  checkpoint.parts.emplace(pattern.part, std::move(part));
}

}  // namespace

void find_parts(const CheckpointHeader& header, Checkpoint& checkpoint) {
  const auto& tensors = header.tensors;
  std::set<std::string> taken;
  for (const Pattern& pattern : kPatterns) {
    const bool bare = *pattern.prefix == '\0';
    if (checkpoint.has(pattern.part) || (bare && !checkpoint.parts.empty())) continue;
    if (tensors.contains(str(pattern.prefix, pattern.marker)))
      add_part(pattern, header, checkpoint, taken);
  }
  for (const auto& [name, stored] : tensors)
    if (!taken.contains(name))
      (is_unneeded(name) ? checkpoint.unneeded : checkpoint.unknown).push_back(name);
}

}  // namespace emulsion

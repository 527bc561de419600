#include "weights/tensor_names.h"

#include <algorithm>
#include <set>

#include "check.h"
#include "fakes/checkpoint_file.h"

using namespace emulsion;

namespace {

// The names of a listing below the prefix; `all`: also what diffusers has no tensor for.
TensorNames listed(const std::string& model, const std::string& prefix, bool all) {
  TensorNames names;
  for (const auto& name : fakes::checkpoint_names(model))
    if (name.source.starts_with(prefix) && (all || name.target != "-"))
      names.push_back(name.source.substr(prefix.size()));
  std::ranges::sort(names);
  return names;
}

// Renames all and composes what comes of it: the same names again, unless a table is wrong.
void check_both_ways(const std::string& model, const std::string& prefix,
                     Renaming (*rename)(const TensorNames&),
                     Composition (*compose)(const TensorNames&), std::size_t tensors) {
  CAPTURE(model);
  CAPTURE(prefix);
  TensorNames renamed, composed;
  for (const TensorAlias& alias : rename(listed(model, prefix, true)).tensors)
    renamed.push_back(alias.name);
  CHECK(renamed.size() == tensors);
  const Composition back = compose(renamed);
  CHECK(back.unknown.empty());
  for (const ComposedTensor& tensor : back.tensors) composed.push_back(tensor.name);
  std::ranges::sort(composed);
  CHECK(composed == listed(model, prefix, false));
}

}  // namespace

TEST_CASE("the tables are the same from both sides, at full size") {
  const std::string unet = "model.diffusion_model.", second = "conditioner.embedders.1.model.";
  check_both_ways("sd15", unet, rename_ldm_unet, compose_ldm_unet, 686);
  check_both_ways("sd21", unet, rename_ldm_unet, compose_ldm_unet, 686);
  check_both_ways("sdxl", unet, rename_ldm_unet, compose_ldm_unet, 1680);
  check_both_ways("refiner", unet, rename_ldm_unet, compose_ldm_unet, 1220);
  check_both_ways("sd15", "first_stage_model.", rename_ldm_vae, compose_ldm_vae, 248);
  check_both_ways("sd15", "cond_stage_model.transformer.", keep_names, compose_clip, 196);
  check_both_ways("sd21", "cond_stage_model.model.", rename_open_clip_penultimate,
                  compose_open_clip, 372);
  check_both_ways("sdxl", second, rename_open_clip, compose_open_clip, 517);
}

TEST_CASE("names that no folder has have no place in a single file") {
  const TensorNames unet = {
      "down_blocks.0.resnets.x.norm1.weight", "down_blocks.0.upsamplers.0.conv.weight",
      "mid_block.resnets.2.norm1.weight",     "encoder_hid_proj.weight",
      "up_blocks.0.attentions.0.lora.weight", ""};
  CHECK(compose_ldm_unet(unet).unknown == unet);
  const TensorNames vae = {"encoder.mid_block.attentions.1.to_q.weight",
                           "decoder.up_blocks.0.strange.0.weight", "quantize.weight", ""};
  CHECK(compose_ldm_vae(vae).unknown == vae);
  const TensorNames text = {"text_model.encoder.layers.x.mlp.fc1.weight", "logit_scale"};
  CHECK(compose_open_clip(text).unknown == text);
}

TEST_CASE("old and bare names have the places of the others") {
  const auto first = [](const Composition& composition) { return composition.tensors.at(0).name; };
  CHECK(first(compose_ldm_vae({"decoder.mid_block.attentions.0.query.weight"})) ==
        "decoder.mid.attn_1.q.weight");
  CHECK(first(compose_clip({"final_layer_norm.bias"})) == "text_model.final_layer_norm.bias");
  const Composition stacked = compose_open_clip(
      {"encoder.layers.2.self_attn.k_proj.bias", "encoder.layers.2.self_attn.q_proj.bias"});
  REQUIRE(stacked.tensors.size() == 1);
  CHECK(stacked.tensors[0].name == "transformer.resblocks.2.attn.in_proj_bias");
  CHECK(stacked.tensors[0].sources[2] == "encoder.layers.2.self_attn.v_proj.bias");
}

TEST_CASE("a swap takes whole words at the start of a name") {
  CHECK(swapped("norm.weight", {{"norm", "group_norm"}}) == "group_norm.weight");
  CHECK(swapped("norm", {{"norm", "group_norm"}}) == "group_norm");
  CHECK(swapped("norm1.weight", {{"norm", "group_norm"}}).empty());
}

TEST_CASE("an index is digits, and of no great length") {
  CHECK(index_of("12") == 12);
  CHECK(index_of("x") == -1);
  CHECK(index_of("1x") == -1);
  CHECK(index_of("") == -1);
  CHECK(index_of("99999999999999") == -1);
}

TEST_CASE("names that no UNet has are unknown, whatever they look like") {
  const TensorNames strange = {"input_blocks.x.0.weight",
                               "input_blocks.7",
                               "input_blocks.1.0.in_layers.7.weight",
                               "input_blocks.1.2.norm.weight",
                               "input_blocks.999999999.0.in_layers.0.weight",
                               "middle_block.3.in_layers.0.weight",
                               "output_blocks.0.1.lora.weight",
                               "out.1.weight",
                               ""};
  const Renaming renaming = rename_ldm_unet(strange);
  CHECK(renaming.tensors.empty());
  CHECK(renaming.unknown == strange);
}

TEST_CASE("names that no VAE has are unknown, and those of its training are unneeded") {
  const TensorNames strange = {"encoder.down.x.block.0.norm1.weight",
                               "decoder.up.0.attn.0.q.weight", "decoder.mid.block_3.norm1.weight",
                               "model.weight", ""};
  CHECK(rename_ldm_vae(strange).unknown == strange);
  CHECK(rename_ldm_vae({"loss.logvar"}).unneeded == TensorNames{"loss.logvar"});
}

TEST_CASE("the stacked projections of OpenCLIP are three tensors") {
  const Renaming renaming = rename_open_clip({"transformer.resblocks.3.attn.in_proj_bias"});
  REQUIRE(renaming.tensors.size() == 3);
  CHECK(renaming.tensors[1].name == "text_model.encoder.layers.3.self_attn.k_proj.bias");
  CHECK(renaming.tensors[1].part == 1);
  CHECK(renaming.tensors[1].parts == 3);
}

TEST_CASE("the penultimate state needs neither the last block nor the projection") {
  const TensorNames names = {"text_projection", "transformer.resblocks.0.ln_1.bias",
                             "transformer.resblocks.1.ln_1.bias"};
  CHECK(rename_open_clip(names).tensors.size() == 3);
  CHECK(rename_open_clip(names).tensors[0].transposed);
  const Renaming shorter = rename_open_clip_penultimate(names);
  REQUIRE(shorter.tensors.size() == 1);
  CHECK(shorter.tensors[0].source == names[1]);
  CHECK(shorter.unneeded == TensorNames{names[0], names[2]});
  // A file that was written from a folder has left them out itself.
  CHECK(rename_open_clip_penultimate({names[1], names[2]}).tensors.size() == 2);
}

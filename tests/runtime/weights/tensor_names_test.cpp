#include "weights/tensor_names.h"

#include "check.h"

using namespace emulsion;

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
}

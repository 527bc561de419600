#include "weights/adapter_names.h"

#include <algorithm>

#include "check.h"
#include "fakes/checkpoint_file.h"

using namespace emulsion;

namespace {

// The tensors of a full-size model: from what its single file has, diffusers' names.
PartTensors tensors_of(const std::string& model) {
  PartTensors base;
  for (const fakes::CheckpointName& name : fakes::checkpoint_names(model)) {
    if (name.target == "-") continue;
    const std::string target = fakes::FolderTensors::replaced(name.target, "^T", "");
    const std::size_t slash = target.find('/');
    for (const char* each : {"q", "k", "v"})
      base[target.substr(0, slash)][fakes::FolderTensors::replaced(target.substr(slash + 1),
                                                                   "{q,k,v}", each)] = {name.shape};
  }
  return base;
}

std::string joined(std::string name) {
  std::ranges::replace(name, '.', '_');
  return name;
}

std::string without(std::string name, const std::string& end) {
  if (name.ends_with(end)) name.resize(name.size() - end.size());
  return name;
}

// "part/module" of a name of one module, or "none".
std::string found(const AdapterNames& names, const std::string& module) {
  const auto target = names.find(module);
  if (!target) return "none";
  return target->modules.size() == 1 ? target->part + "/" + target->modules.front() : "several";
}

}  // namespace

TEST_CASE("a name in any spelling is taken apart into module and piece") {
  const auto parts = [](const std::string& name) {
    const AdapterKey key = take_apart(name);
    return key.module + " " + key.piece + (key.by_peft ? " by PEFT" : "");
  };
  CHECK(parts("lora_unet_conv_in.lora_down.weight") == "lora_unet_conv_in down");
  CHECK(parts("lora_unet_conv_in.lora_mid.weight") == "lora_unet_conv_in core");
  CHECK(parts("lora_te_x.alpha") == "lora_te_x alpha");
  CHECK(parts("lora_te_x.dora_scale") == "lora_te_x norms");
  CHECK(parts("unet.a.processor.to_q_lora.up.weight") == "unet.a.processor.to_q up by PEFT");
  CHECK(parts("unet.a.to_q.lora.up.weight") == "unet.a.to_q up by PEFT");
  CHECK(parts("unet.a.to_q.lora_A.default.weight") == "unet.a.to_q down by PEFT");
  CHECK(parts("text_encoder.a.q_proj.lora_linear_layer.down.weight") ==
        "text_encoder.a.q_proj down by PEFT");
  CHECK(parts("base_model.model.a.lora_magnitude_vector.default.weight") == "a row_norms by PEFT");
  CHECK(parts("base_model.model.a.hada_w1_a") == "a hada_w1_a by PEFT");
  CHECK(parts("base_model.model.a.oft_R.weight") == "a oft_R by PEFT");
  CHECK(parts("base_model.model.a.boft_R") == "a boft_R by PEFT");
  CHECK(parts("base_model.model.a.lora_B.default.bias") == "a up_bias by PEFT");
  CHECK(parts("lora_unet_x.b2.weight") == "lora_unet_x b2");
  CHECK(parts("lora_unet_x.lokr_w2_b") == "lora_unet_x lokr_w2_b");
  CHECK(parts("lora_unet_x.diff_b") == "lora_unet_x diff_b");
  CHECK(parts("conv_in.bias") == "conv_in.bias ");
  CHECK(parts("nothing") == "nothing ");
}

TEST_CASE("every module of SDXL is found under each of its names") {
  const AdapterNames names(tensors_of("sdxl"));
  std::size_t count = 0;
  for (const fakes::CheckpointName& name : fakes::checkpoint_names("sdxl")) {
    if (!name.target.starts_with("unet/") || !name.target.ends_with(".weight")) continue;
    const std::string wanted = without(name.target, ".weight");
    const std::string own = wanted.substr(5);
    const std::string ldm =
        without(name.source.substr(std::string("model.diffusion_model.").size()), ".weight");
    CAPTURE(wanted);
    for (const std::string& spelling :
         {"lora_unet_" + joined(own), "lora_unet_" + joined(ldm), "unet." + own, own,
          "diffusion_model." + ldm, "model.diffusion_model." + ldm, "oft_unet_" + joined(ldm)})
      CHECK(found(names, spelling) == wanted);
    ++count;
  }
  CHECK(count == 1050);
}

TEST_CASE("every module of the text encoders is found with text_model and without") {
  const PartTensors base = tensors_of("sdxl");
  const AdapterNames names(base);
  for (const auto& [part, prefix] :
       {std::pair("text_encoder", "lora_te1_"), std::pair("text_encoder_2", "lora_te2_")})
    for (const auto& [weight, spec] : base.at(part)) {
      if (!weight.ends_with(".weight")) continue;
      const std::string module = without(weight, ".weight");
      const std::string bare = fakes::FolderTensors::replaced(module, "text_model.", "");
      const std::string wanted = std::string(part) + "/" + module;
      CHECK(found(names, prefix + joined(module)) == wanted);
      CHECK(found(names, prefix + joined(bare)) == wanted);
      CHECK(found(names, std::string(part) + "." + bare) == wanted);
    }
  CHECK(found(names, "lora_te_text_model_encoder_layers_3_mlp_fc1") ==
        "text_encoder/text_model.encoder.layers.3.mlp.fc1");
  CHECK(found(names, "lora_te2_text_projection") == "text_encoder_2/text_projection");
}

TEST_CASE("a model whose names lack text_model is found all the same, under its own names") {
  const AdapterNames names({{"text_encoder", {{"encoder.layers.0.mlp.fc1.weight", {{4, 4}}}}}});
  for (const char* spelling :
       {"lora_te_text_model_encoder_layers_0_mlp_fc1", "lora_te1_encoder_layers_0_mlp_fc1",
        "text_encoder.text_model.encoder.layers.0.mlp.fc1",
        "lora_te_transformer_resblocks_0_mlp_c_fc",
        "clip_l.transformer.text_model.encoder.layers.0.mlp.fc1"})
    CHECK(found(names, spelling) == "text_encoder/encoder.layers.0.mlp.fc1");
}

TEST_CASE("OpenCLIP's stacked projections are three modules") {
  const AdapterNames names(tensors_of("sdxl"));
  const auto target = names.find("lora_te2_transformer_resblocks_31_attn_in_proj");
  REQUIRE(target);
  CHECK(target->part == "text_encoder_2");
  const std::string scope = "text_model.encoder.layers.31.self_attn.";
  CHECK(target->modules == std::vector{scope + "q_proj", scope + "k_proj", scope + "v_proj"});
  CHECK(found(names, "lora_te2_transformer_resblocks_31_attn_out_proj") ==
        "text_encoder_2/" + scope + "out_proj");
}

TEST_CASE("names of no module, and of parts that the model lacks, are not found") {
  const AdapterNames names(tensors_of("sd15"));
  for (const char* strange :
       {"", "lora_unet_", "lora_unet_down_blocks_9_resnets_0_conv1", "lora_te2_text_projection",
        "lora_transformer_single_blocks_0", "unet", "unet.conv_in.weight", "vae.encoder.conv_in"})
    CHECK(found(names, strange) == "none");
}

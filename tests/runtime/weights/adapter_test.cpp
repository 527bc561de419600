#include "weights/adapter.h"

#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "check.h"
#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "runtime/weights/scratch.h"
#include "weights/safetensors.h"
#include "weights/safetensors_writer.h"
#include "weights/weight_store.h"

using namespace emulsion;
using nlohmann::json;

namespace {

namespace fs = std::filesystem;

const fs::path kAdapters = "reference/adapters";

// A tiny model's parts, with the names that its files have.
struct Base {
  PartTensors specs;
  std::map<std::string, std::map<std::string, at::Tensor>> tensors;
};

Base base_of(const std::string& model) {
  Base base;
  for (const char* part : {"unet", "text_encoder", "text_encoder_2"}) {
    if (!fs::exists(fs::path("reference") / model / part)) continue;
    for (const auto& file : open_component(fs::path("reference") / model, part).files)
      for (const auto& [name, tensor] : read_safetensors(file->path())) {
        base.specs[part][name] = {tensor.sizes().vec(), tensor.scalar_type()};
        base.tensors[part][name] = tensor.to(at::kFloat);
      }
  }
  return base;
}

// "text_encoder/text_model.final_layer_norm.weight", whatever the age of the model's files.
std::string canonical(const std::string& part, const std::string& name) {
  const bool bare = part.starts_with("text") && !name.starts_with("text_");
  return str(part, "/", bare ? "text_model." : "", name);
}

json cases() { return json::parse(std::ifstream(kAdapters / "cases.json")); }

using Tensors = std::map<std::string, at::Tensor>;

// A model of one linear and one convolution.
PartTensors small_base() {
  return {{"unet",
           {{"conv_in.weight", {{8, 4, 3, 3}}},
            {"conv_in.bias", {{8}}},
            {"mid_block.attentions.0.proj_in.weight", {{6, 6}}}}},
          {"text_encoder", {{"text_model.encoder.layers.0.mlp.fc1.weight", {{12, 6}}}}}};
}

Adapter adapter_of(const Tensors& tensors) {
  const Scratch scratch;
  const fs::path path = scratch.folder() / "a.safetensors";
  save_safetensors(path, tensors);
  return read_adapter(path, small_base());
}

// What is said about a file of these tensors, without the folder.
std::string refusal(const Tensors& tensors) {
  try {
    adapter_of(tensors);
  } catch (const WeightError& fault) {
    const std::string text = fault.what();
    return text.substr(text.find("a.safetensors"));
  }
  return "none";
}

double largest_distance(const at::Tensor& one, const at::Tensor& other) {
  return one.to(at::kDouble).sub(other).abs().max().item<double>();
}

}  // namespace

TEST_CASE(
    "every form in every spelling gives the weights that diffusers, PEFT or the formula give") {
  constexpr double kTolerance = 2e-6;  // of weights up to 6, in float32
  const auto expected = read_safetensors(kAdapters / "expected.safetensors");
  for (const json& one : cases()) {
    const std::string name = one["name"];
    CAPTURE(name);
    const Base base = base_of(one["model"]);
    const Adapter adapter = read_adapter(kAdapters / std::string(one["file"]), base.specs);
    CHECK(adapter.unmatched.empty());
    std::size_t changed = 0;
    for (const auto& [part, changes] : adapter.parts)
      for (const auto& [weight, change] : changes) {
        CAPTURE(weight);
        const std::string key = name + "/" + canonical(part, weight);
        REQUIRE(expected.contains(key));
        const at::Tensor& before = base.tensors.at(part).at(weight);
        const at::Tensor after = change.applied(before, one["strength"]);
        CHECK(after.sizes() == before.sizes());
        CHECK(largest_distance(after, expected.at(key)) < kTolerance);
        CHECK(largest_distance(change.applied(before, 0), before) < kTolerance);
        ++changed;
      }
    std::size_t wanted = 0;
    for (const auto& [key, tensor] : expected) wanted += key.starts_with(name + "/") ? 1 : 0;
    CHECK(changed == wanted);
  }
}

TEST_CASE("a plain LoRA can run beside the base, and gives the same weight") {
  const Base base = base_of("sd15_like");
  const Adapter adapter = read_adapter(kAdapters / "kohya.safetensors", base.specs);
  for (const auto& [weight, change] : adapter.parts.at("unet")) {
    CAPTURE(weight);
    const at::Tensor& before = base.tensors.at("unet").at(weight);
    const auto branch = change.branch();
    REQUIRE(branch);
    CHECK(branch->scale == 0.5);  // alpha 1.5 of rank 3
    CHECK(branch->down.dim() == before.dim());
    CHECK(branch->up.dim() == before.dim());
    CHECK(branch->down.size(1) == before.size(1));
    const at::Tensor up = branch->up.to(at::kDouble).flatten(1);
    const at::Tensor beside = at::mm(up, branch->down.to(at::kDouble).flatten(1)).view_as(before);
    const at::Tensor after = before.to(at::kDouble).add(beside, 0.7 * branch->scale);
    CHECK(largest_distance(change.applied(before, 0.7), after) < 2e-6);
  }
}

TEST_CASE("what depends on the base, or needs a third product, has no branch") {
  const Base base = base_of("sd15_like");
  for (const char* name : {"dora", "loha", "lokr", "cp", "oft", "boft", "full", "ia3", "glora",
                           "oft_of_columns/adapter_model", "ia3_of_peft/adapter_model"}) {
    CAPTURE(name);
    const Adapter adapter = read_adapter(kAdapters / str(name, ".safetensors"), base.specs);
    for (const auto& [weight, change] : adapter.parts.at("unet")) CHECK(!change.branch());
  }
}

TEST_CASE("with a bias of its own a LoRA still runs beside the base, and the bias is changed") {
  const Base base = base_of("sd15_like");
  const Adapter adapter =
      read_adapter(kAdapters / "lora_with_bias/adapter_model.safetensors", base.specs);
  for (const auto& [weight, change] : adapter.parts.at("unet"))
    CHECK(change.branch().has_value() == weight.ends_with(".weight"));
}

TEST_CASE("shapes may have a kernel's axes or lack them, as trainers wrote them") {
  const Adapter adapter = adapter_of(
      {{"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight", at::zeros({2, 6, 1, 1})},
       {"lora_unet_mid_block_attentions_0_proj_in.lora_up.weight", at::zeros({6, 2, 1, 1})},
       {"lora_unet_conv_in.lora_down.weight", at::zeros({2, 4, 3, 3})},
       {"lora_unet_conv_in.lora_up.weight", at::zeros({8, 2})}});
  const auto& changes = adapter.parts.at("unet");
  const auto linear = changes.at("mid_block.attentions.0.proj_in.weight").branch();
  const auto convolution = changes.at("conv_in.weight").branch();
  REQUIRE(linear);
  REQUIRE(convolution);
  CHECK(linear->down.sizes() == at::IntArrayRef({2, 6}));
  CHECK(linear->up.sizes() == at::IntArrayRef({6, 2}));
  CHECK(convolution->up.sizes() == at::IntArrayRef({8, 2, 1, 1}));
}

TEST_CASE("what nothing took is listed, and the rest counts") {
  const Adapter adapter =
      adapter_of({{"lora_unet_conv_in.diff", at::zeros({8, 4, 3, 3})},
                  {"lora_unet_conv_in.oft_diag", at::zeros({1})},
                  {"lora_unet_conv_out.diff", at::zeros({4})},
                  {"lora_unet_mid_block_attentions_0_proj_in.diff_b", at::zeros({6})},
                  {"lora_te2_text_projection.alpha", at::zeros({})},
                  {"bundle_emb.name.clip_g", at::zeros({2, 8})},
                  {"bundle_emb.name.clip_l", at::zeros({2, 6})},
                  {"bundle_emb.other.string_to_param.*", at::zeros({2, 6})}});
  CHECK((adapter.embeddings == std::vector<std::string>{"name", "other"}));
  CHECK(adapter.parts.size() == 1);
  CHECK(adapter.parts.at("unet").size() == 1);
  CHECK(adapter.unmatched ==
        std::vector<std::string>{"lora_te2_text_projection.alpha", "lora_unet_conv_in.oft_diag",
                                 "lora_unet_conv_out.diff",
                                 "lora_unet_mid_block_attentions_0_proj_in.diff_b"});
}

TEST_CASE("a half without the other is told by its name") {
  CHECK(refusal({{"lora_unet_conv_in.alpha", at::zeros({})},
                 {"lora_unet_conv_in.lora_up.weight", at::zeros({8, 2, 1, 1})}}) ==
        "a.safetensors: tensor 'lora_unet_conv_in.lora_up.weight': expected a piece 'down' of the "
        "same module, got none; fetch the file again");
  CHECK(refusal({{"lora_unet_conv_in.lokr_w1", at::zeros({2, 2})}}) ==
        "a.safetensors: tensor 'lora_unet_conv_in.lokr_w1': expected a piece 'lokr_w2_b' of the "
        "same module, got none; fetch the file again");
}

TEST_CASE("pieces that do not fit the model are told with both shapes") {
  const std::string remedy = "; give an adapter that was made for this model";
  const auto text = [](at::IntArrayRef down, at::IntArrayRef up) {
    return refusal(
        {{"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", at::zeros(down)},
         {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight", at::zeros(up)}});
  };
  const std::string module = "a.safetensors: tensor 'lora_te_text_model_encoder_layers_0_mlp_fc1.";
  CHECK(text({2, 5}, {12, 2}) ==
        module + "lora_down.weight': expected [2, 6], got [2, 5]" + remedy);
  CHECK(text({2, 6}, {12, 3}) ==
        module + "lora_up.weight': expected [12, 2], got [12, 3]" + remedy);
  CHECK(text({}, {12, 3}) ==
        module + "lora_down.weight': expected at least 1 axes, and elements, got []" + remedy);
  CHECK(text({0, 6}, {12, 0}) ==
        module + "lora_down.weight': expected at least 1 axes, and elements, got [0, 6]" + remedy);
}

TEST_CASE("every form refuses what does not divide or fit its weight") {
  const auto of = [](const Tensors& pieces) {
    Tensors named;
    for (const auto& [piece, tensor] : pieces)
      named.emplace("lora_unet_mid_block_attentions_0_proj_in." + piece, tensor);
    const std::string text = refusal(named);
    const std::string start = "a.safetensors: tensor 'lora_unet_mid_block_attentions_0_proj_in.";
    REQUIRE(text.starts_with(start));
    return text.substr(start.size(), text.find(';') - start.size());
  };
  const at::Tensor two = at::zeros({6, 2}), other = at::zeros({2, 6});
  CHECK(
      of({{"hada_w1_a", two}, {"hada_w1_b", other}, {"hada_w2_a", other}, {"hada_w2_b", other}}) ==
      "hada_w2_a': expected [6, 2], got [2, 6]");
  CHECK(of({{"lokr_w1", at::zeros({4, 2})}, {"lokr_w2", at::zeros({3, 3})}}) ==
        "lokr_w1': expected a factor of [6, 6], got [4, 2]");
  CHECK(of({{"lokr_w1", at::zeros({2, 2})}, {"lokr_w2", at::zeros({3, 2})}}) ==
        "lokr_w2': expected [3, 3], got [3, 2]");
  CHECK(of({{"oft_blocks", at::zeros({2, 4, 4})}}) ==
        "oft_blocks': expected blocks that divide 6 rows, got [2, 4, 4]");
  CHECK(of({{"oft_blocks", at::zeros({3, 3, 2})}}) ==
        "oft_blocks': expected [3, 2, 2], got [3, 3, 2]");
  CHECK(of({{"oft_blocks", at::zeros({3, 3, 2, 2})}}) ==
        "oft_blocks': expected a butterfly of 6 rows, got [3, 3, 2, 2]");
  CHECK(of({{"oft_blocks", at::zeros({3, 2, 2})}, {"rescale", at::zeros({5, 1})}}) ==
        "rescale': expected [6, 1], got [5, 1]");
  CHECK(of({{"lora_down.weight", other},
            {"lora_up.weight", two},
            {"dora_scale", at::zeros({5, 1})}}) == "dora_scale': expected [6, 1], got [5, 1]");
  CHECK(of({{"lora_down.weight", other}, {"lora_up.weight", two}, {"alpha", at::zeros({2})}}) ==
        "alpha': expected one number, got [2]");
  CHECK(of({{"on_input", at::zeros({})}, {"weight", at::zeros({5})}}) ==
        "weight': expected [6, 1], got [5]");
  CHECK(of({{"oft_R.weight", at::zeros({2, 6})}}) ==
        "oft_R.weight': expected triangles of blocks that divide 6 columns, got [2, 6]");
  CHECK(of({{"oft_R.weight", at::zeros({2, 2})}}) ==
        "oft_R.weight': expected triangles of blocks that divide 6 columns, got [2, 2]");
  CHECK(of({{"boft_R", at::zeros({3, 3, 2, 2})}}) ==
        "boft_R': expected a butterfly of 6 columns, got [3, 3, 2, 2]");
  CHECK(of({{"boft_R", at::zeros({1, 3, 2, 2})}, {"boft_s", at::zeros({5, 1})}}) ==
        "boft_s': expected [6, 1], got [5, 1]");
  CHECK(of({{"ia3_l", at::zeros({5, 1})}}) == "ia3_l': expected [6, 1], got [5, 1]");
  CHECK(
      of({{"a1.weight", two}, {"a2.weight", other}, {"b1.weight", other}, {"b2.weight", other}}) ==
      "b1.weight': expected [6, 2], got [2, 6]");
  CHECK(of({{"diff", at::zeros({6, 5})}}) == "diff': expected [6, 6], got [6, 5]");
}

TEST_CASE("two changes of one weight in a file are refused") {
  CHECK(refusal({{"lora_unet_conv_in.diff", at::zeros({8, 4, 3, 3})},
                 {"unet.conv_in.diff", at::zeros({8, 4, 3, 3})}}) ==
        "a.safetensors: tensor 'unet.conv_in.diff': expected one change of 'conv_in.weight', of "
        "which the file has another, too; fetch the file again");
}

TEST_CASE("forms that mix the rows of a stack are refused") {
  const Scratch scratch;
  const fs::path path = scratch.folder() / "a.safetensors";
  save_safetensors(
      path, {{"lora_te_transformer_resblocks_0_attn_in_proj.oft_blocks", at::zeros({3, 2, 2})}});
  PartTensors base;
  for (const char* one : {"q", "k", "v"})
    base["text_encoder"][str("text_model.encoder.layers.0.self_attn.", one, "_proj.weight")] = {
        {2, 2}};
  CHECK_THROWS_WITH_AS(
      read_adapter(path, base),
      str(path.string(), ": tensor 'lora_te_transformer_resblocks_0_attn_in_proj.oft_blocks': ",
          "expected LoRA, LoHa or a difference, whose rows can be told apart in a stack; convert "
          "the adapter to a LoRA")
          .c_str(),
      WeightError);
}

TEST_CASE("a file that is no adapter, or of another model, is told apart") {
  CHECK(refusal({{"conv_in.weight", at::zeros({8, 4, 3, 3})}}) ==
        "a.safetensors: no adapter of a known form: expected tensors such as "
        "'….lora_up.weight', got 1 tensors such as 'conv_in.weight'; give a LoRA or one of its "
        "kin");
  CHECK(refusal({}) ==
        "a.safetensors: no adapter of a known form: expected tensors such as "
        "'….lora_up.weight', got 0 tensors; give a LoRA or one of its kin");
  CHECK(refusal({{"lora_transformer_x.lora_up.weight", at::zeros({2, 2})}}) ==
        "a.safetensors: expected names of the model's 'text_encoder', 'unet', got 1 tensors such "
        "as 'lora_transformer_x.lora_up.weight'; give an adapter that was made for this model");
}

TEST_CASE("a config beside the file that is no JSON is refused") {
  const Scratch scratch;
  scratch.write("adapter_config.json", "{");
  const fs::path path = scratch.folder() / "adapter_model.safetensors";
  save_safetensors(path, {{"conv_in.diff", at::zeros({8, 4, 3, 3})}});
  CHECK_THROWS_WITH_AS(read_adapter(path, small_base()),
                       str((scratch.folder() / "adapter_config.json").string(),
                           ": expected a JSON object; fetch the adapter again")
                           .c_str(),
                       WeightError);
}

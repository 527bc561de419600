#include "weights/adapter_config.h"
#include "weights/safetensors_writer.h"

#include <ATen/ops/zeros.h>

#include <cmath>

#include "check.h"
#include "runtime/weights/scratch.h"

using namespace emulsion;

namespace {

// Of an adapter with this metadata and this config beside it.
AdapterConfig config_of(const std::string& metadata, const std::string& beside) {
  const Scratch scratch;
  if (!beside.empty()) scratch.write("adapter_config.json", beside);
  std::map<std::string, std::string> all;
  if (!metadata.empty()) all["lora_adapter_metadata"] = metadata;
  const auto path = scratch.folder() / "adapter_model.safetensors";
  save_safetensors(path, {{"x", at::zeros({1})}}, all);
  return AdapterConfig(SafetensorsFile(path));
}

}  // namespace

TEST_CASE("without a word of it, nothing is scaled") {
  CHECK(config_of("", "").scale("unet", "a.to_q", 4) == 1);
  CHECK(config_of("", "{}").scale("unet", "a.to_q", 4) == 1);
  CHECK(config_of("", R"({"lora_alpha": "two", "r": null})").scale("unet", "a", 4) == 1);
}

TEST_CASE("alpha counts by the rank that the tensors have, else by the config's") {
  const AdapterConfig config = config_of("", R"({"lora_alpha": 6, "r": 3})");
  CHECK(config.scale("unet", "a", 4) == 1.5);
  CHECK(config.scale("text_encoder", "a", 0) == 2);
  CHECK(config_of("", R"({"alpha": 6, "r": 3})").scale("unet", "a", 0) == 2);
  const AdapterConfig by_root = config_of("", R"({"lora_alpha": 6, "r": 3, "use_rslora": true})");
  CHECK(by_root.scale("unet", "a", 4) == 3);
  CHECK(std::abs(by_root.scale("unet", "a", 0) - 6 / std::sqrt(3.0)) < 1e-12);
}

TEST_CASE("patterns are the ends of names, at a dot") {
  const AdapterConfig config = config_of("", R"({"lora_alpha": 6, "r": 3,
      "alpha_pattern": {"^mid\\.to_q": 9, "to_k": 12}, "rank_pattern": {"to_k": 4}})");
  CHECK(config.scale("unet", "mid.to_q", 3) == 3);
  CHECK(config.scale("unet", "a.to_k", 0) == 3);
  CHECK(config.scale("unet", "a.not_to_k", 0) == 2);
}

TEST_CASE("metadata has its numbers by part, and goes before a file") {
  const AdapterConfig config =
      config_of(R"({"unet.lora_alpha": 8, "unet.r": 4, "text_encoder.lora_alpha": 4})",
                R"({"lora_alpha": 100, "r": 1})");
  CHECK(config.scale("unet", "a", 4) == 2);
  CHECK(config.scale("text_encoder", "a", 4) == 1);
  CHECK(config.scale("text_encoder_2", "a", 4) == 1);
}

TEST_CASE("how OFT makes rotations, and which modules IA3 scales before, are PEFT's keys") {
  const auto cayley = [](const char* beside) { return config_of("", beside).cayley(); };
  CHECK(cayley("").terms == 5);
  CHECK(cayley(R"({"use_cayley_neumann": false})").terms == 0);
  CHECK(cayley(R"({"num_cayley_neumann_terms": 3})").terms == 3);
  CHECK(cayley(R"({"eps": 0.5})").limit == 0);
  CHECK(cayley(R"({"coft": true, "eps": 0.5})").limit == 0.5);
  const AdapterConfig named = config_of("", R"({"feedforward_modules": ["ff.net.2", "proj_in"]})");
  CHECK(named.scales_inputs("down_blocks.0.attentions.0.proj_in"));
  CHECK(!named.scales_inputs("down_blocks.0.attentions.0.proj_out"));
  CHECK(config_of("", R"({"feedforward_modules": ".*proj_in"})").scales_inputs("a.proj_in"));
  CHECK(!config_of("", "").scales_inputs("a.proj_in"));
}

#include "exec/open_resources.h"

#include <algorithm>

#include "check.h"

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "fakes/reference.h"
#include "runtime/graph/graph_faults.h"
#include "weights/adapter.h"

using namespace emulsion;

namespace {

const char* const kBase = R"("sd": {"type": "checkpoint", "source": "reference/sd21_v_like"})";
const std::string kStyle = "reference/lora_pictures/sd21_v_like.style.safetensors";
const std::string kQuery = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight";

// A graph of one node, which uses the UNet of the resource `used`.
OpenResources opened(const std::string& resources, const std::string& used) {
  const std::string json =
      str(R"({"emulsion": 1, "outputs": {}, "resources": {)", kBase, ", ", resources,
          R"(}, "nodes": {"a": {"type": "model_user", "use": {
                                 "config": "sd.scheduler", "unet": ")",
          used, R"(.unet"}}}})");
  return open_resources(fakes::graph_of(json));
}

const OpenComponent& unet_of(const OpenResources& resources) { return resources.components.at(1); }

std::map<std::string, double> strengths_of(const OpenResources& resources, std::size_t change = 0) {
  const auto& all = std::get<Adaptation>(unet_of(resources).changes.at(change)).strengths;
  return {all.begin(), all.end()};
}

std::string lora(const std::string& files, const std::string& more = "") {
  return str(R"("styled": {"type": "lora", "base": "sd", "source": ")", files, "\"", more, "}");
}

}  // namespace

TEST_CASE("a merge blends what is weights, at the ratio of its part") {
  const OpenResources mix = opened(
      R"("mix": {"type": "merge", "a": "sd", "b": "sd", "ratio": 0.5, "ratios": {"unet": 0.25}})",
      "mix");
  REQUIRE(unet_of(mix).changes.size() == 1);
  CHECK(std::get<Blend>(unet_of(mix).changes[0]).ratio == 0.25);
  const OpenResources none =
      opened(R"("mix": {"type": "merge", "a": "sd", "b": "sd", "ratio": 0})", "mix");
  CHECK(unet_of(none).changes.empty());
}

TEST_CASE("models of other shapes cannot be merged, and one tensor says why") {
  const std::string resources =
      R"("other": {"type": "checkpoint", "source": "reference/sd15_like"},
         "mix": {"type": "merge", "a": "sd", "b": "other", "ratio": 0.5})";
  CHECK_THROWS_WITH_AS(opened(resources, "mix"),
                       doctest::Contains("g.json: resource 'mix': reference/sd21_v_like/unet and "
                                         "reference/sd15_like/unet cannot be merged: expected the "
                                         "same tensors, '"),
                       WeightError);
}

TEST_CASE("files of a lora have their strengths, and blocks their factors") {
  const OpenResources plain =
      opened(lora(kStyle + ":0.5, " + kStyle, R"(, "strength": 2)"), "styled");
  REQUIRE(unet_of(plain).changes.size() == 2);
  CHECK(strengths_of(plain, 0).at(kQuery) == 1);
  CHECK(strengths_of(plain, 1).at(kQuery) == 2);
  REQUIRE(plain.adapters.size() == 2);
  CHECK(plain.adapters[0].strength == 1);
  CHECK(plain.adapters[0].adapter->unmatched.empty());
  const auto factors =
      strengths_of(opened(lora(kStyle, R"(, "blocks": {"unet.down_blocks": 0, "down_blocks.0": 0.5,
                                          "unet.up_blocks": 0.25, "up_blocks.1": 3})"),
                          "styled"));
  CHECK(factors.at(kQuery) == 0.5);
  const auto starts = [&](const std::string& start) {
    return std::ranges::any_of(factors,
                               [&](const auto& one) { return one.first.starts_with(start); });
  };
  CHECK_FALSE(starts("down_blocks.1"));  // at 0 nothing is changed
  for (const auto& [name, factor] : factors)
    if (name.starts_with("up_blocks.0")) CHECK(factor == 0.25);
}

TEST_CASE("a lora on a lora changes what the first one has changed") {
  const OpenResources twice =
      opened(lora(kStyle) + R"(, "more": {"type": "lora", "base": "styled", "source": ")" + kStyle +
                 R"(", "strength": 3})",
             "more");
  REQUIRE(unet_of(twice).changes.size() == 2);
  CHECK(strengths_of(twice, 1).at(kQuery) == 3);
}

TEST_CASE("missing files, unknown blocks and adapters of other models are said in one line") {
  CHECK_THROWS_WITH_AS(
      opened(lora("nowhere.safetensors"), "styled"),
      "adapter 'nowhere.safetensors': no such file; give a .safetensors file, a folder with "
      "pytorch_lora_weights.safetensors or adapter_model.safetensors, or a hub id (owner/name)",
      WeightError);
  CHECK_THROWS_WITH_AS(
      opened(lora("style.pt"), "styled"),
      "adapter 'style.pt': a pickle file, which can run any program when it is read, so it is not "
      "read at all; give the adapter's .safetensors file, or convert it with a tool that you trust",
      WeightError);
  CHECK_THROWS_WITH_AS(
      opened(lora(kStyle, R"(, "blocks": {"unet.down_block": 1})"), "styled"),
      "g.json: resource 'styled': blocks: no weight of the model begins with 'unet.down_block'; "
      "expected the start of a name up to a dot, such as 'unet.down_blocks.0'",
      WeightError);
}

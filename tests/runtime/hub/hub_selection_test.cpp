#include "hub/hub_selection.h"

#include "check.h"
#include "emulsion/errors.h"

using namespace emulsion;

namespace {

constexpr const char* kIndex = R"({
  "_class_name": "StableDiffusionPipeline",
  "unet": ["diffusers", "UNet2DConditionModel"],
  "tokenizer": ["transformers", "CLIPTokenizer"],
  "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
  "feature_extractor": [null, null]
})";

HubListing listing_of(const std::vector<std::string>& paths) {
  HubListing listing;
  for (const std::string& path : paths) listing.files.push_back({path, 1, std::string(40, '1')});
  return listing;
}

std::vector<std::string> paths_of(const std::vector<HubFile>& files) {
  std::vector<std::string> paths;
  for (const HubFile& file : files) paths.push_back(file.path);
  return paths;
}

// The unet's weights that are taken of these.
std::vector<std::string> weights(Precision precision, const std::vector<std::string>& names) {
  std::vector<std::string> paths{"tokenizer/vocab.json", "unet/config.json"};
  for (const std::string& name : names) paths.push_back("unet/" + name);
  std::vector<std::string> taken;
  for (const std::string& path :
       paths_of(select_model(listing_of(paths), kIndex, precision, {"o/n"})))
    if (path.starts_with("unet/") && path != "unet/config.json") taken.push_back(path.substr(5));
  return taken;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("of a model the parts that nodes can use are taken, and the index last") {
  CHECK((parts_of(kIndex, "here") == Names{"tokenizer", "unet"}));
  const HubListing listing = listing_of(
      {".gitattributes", "README.md", "model_index.json", "safety_checker/model.safetensors",
       "tokenizer/merges.txt", "tokenizer/vocab.json", "unet/config.json",
       "unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.safetensors",
       "unet/deeper/config.json", "v1-5.safetensors"});
  CHECK((paths_of(select_model(listing, kIndex, Precision::Half, {"o/n"})) ==
         Names{"tokenizer/merges.txt", "tokenizer/vocab.json", "unet/config.json",
               "unet/diffusion_pytorch_model.safetensors", "model_index.json"}));
}

TEST_CASE("of several variants one is taken: half the bytes, or all digits") {
  const Names both{"diffusion_pytorch_model.fp16.safetensors",
                   "diffusion_pytorch_model.non_ema.safetensors",
                   "diffusion_pytorch_model.safetensors"};
  CHECK(weights(Precision::Half, both) == Names{both[0]});
  CHECK(weights(Precision::Full, both) == Names{both[2]});
  CHECK(weights(Precision::Half, {both[2]}) == Names{both[2]});
  CHECK(weights(Precision::Full, {both[0]}) == Names{both[0]});
  CHECK(weights(Precision::Full, {both[0], both[1]}) == Names{both[0]});
}

TEST_CASE("shards come with their index, and a whole file before shards") {
  const Names shards{"diffusion_pytorch_model-00001-of-00002.safetensors",
                     "diffusion_pytorch_model-00002-of-00002.safetensors",
                     "diffusion_pytorch_model.safetensors.index.json"};
  CHECK(weights(Precision::Half, shards) == shards);
  CHECK(weights(Precision::Half,
                {shards[0], shards[1], shards[2], "diffusion_pytorch_model.safetensors"}) ==
        Names{"diffusion_pytorch_model.safetensors"});
  CHECK(weights(Precision::Half,
                {shards[0], shards[1], shards[2], "diffusion_pytorch_model.fp16.safetensors"}) ==
        Names{"diffusion_pytorch_model.fp16.safetensors"});
}

TEST_CASE("a part with pickles only, or without files, is told") {
  CHECK_THROWS_WITH_AS(weights(Precision::Half, {"diffusion_pytorch_model.bin"}),
                       "model 'o/n': part 'unet': expected a .safetensors file, got "
                       "'unet/diffusion_pytorch_model.bin', which can run any program when it is "
                       "read; take a repository or a revision with safetensors",
                       WeightError);
  CHECK_THROWS_WITH_AS(
      select_model(listing_of({"unet/config.json"}), kIndex, Precision::Half, {"o/n"}),
      "model 'o/n': model_index.json names a part 'tokenizer' that the repository does not have; "
      "take another repository",
      WeightError);
  CHECK_THROWS_AS(parts_of("[]", "here"), WeightError);
}

TEST_CASE("a checkpoint comes last, after the configs of parts beside it") {
  const HubListing listing =
      listing_of({"a.safetensors", "README.md", "docs/a.json", "sub/b.safetensors",
                  "tokenizer/tokenizer_config.json", "tokenizer/vocab.json", "unet/config.json",
                  "unet/diffusion_pytorch_model.safetensors", "unet/deeper/config.json",
                  "sub/unet/config.json"});
  CHECK((paths_of(select_checkpoint(listing, {"o/n", "main", "a.safetensors"})) ==
         Names{"tokenizer/tokenizer_config.json", "tokenizer/vocab.json", "unet/config.json",
               "a.safetensors"}));
  CHECK((paths_of(select_checkpoint(listing, {"o/n", "main", "sub/b.safetensors"})) ==
         Names{"sub/unet/config.json", "sub/b.safetensors"}));
  CHECK_THROWS_WITH_AS(select_checkpoint(listing, {"o/n", "main", "c.safetensors"}),
                       "model 'o/n/c.safetensors': 'o/n' has no file 'c.safetensors' at main; it "
                       "has 'a.safetensors', 'sub/b.safetensors', "
                       "'unet/diffusion_pytorch_model.safetensors'",
                       WeightError);
}

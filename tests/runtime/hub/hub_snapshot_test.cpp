#include "hub/hub_snapshot.h"

#include "check.h"
#include "runtime/weights/scratch.h"

using namespace emulsion;
namespace fs = std::filesystem;

namespace {

const std::string kCommit = "0123456789abcdef0123456789abcdef01234567";
const std::string kFolder = "models--o--n/snapshots/" + kCommit;

// A cache with a repository of one part and a checkpoint, which "main" names.
void fill(const Scratch& scratch) {
  scratch.write("models--o--n/refs/main", kCommit);
  scratch.write(kFolder + "/model_index.json",
                R"({"unet": ["diffusers", "U"], "tokenizer": ["transformers", "T"]})");
  scratch.write(kFolder + "/unet/config.json", "{}");
  scratch.write(kFolder + "/unet/diffusion_pytorch_model.safetensors", "12345");
  scratch.write(kFolder + "/tokenizer/tokenizer_config.json", "{}");
  scratch.write(kFolder + "/tokenizer/tokenizer.json", "{}");
  scratch.write(kFolder + "/a.safetensors", "1234567");
}

}  // namespace

TEST_CASE("a model is found by the revision that was seen last, and by its commit") {
  const Scratch scratch;
  fill(scratch);
  const CachedModel found = find_in_cache(scratch.folder(), {"o/n"});
  CHECK(found.path == scratch.folder() / kFolder);
  CHECK(found.is_whole());
  CHECK(find_in_cache(scratch.folder(), {"o/n", kCommit}).path == found.path);
  CHECK(find_in_cache(scratch.folder(), {"o/n", "main", "a.safetensors"}).path ==
        scratch.folder() / kFolder / "a.safetensors");
  CHECK(find_in_cache(scratch.folder(), {"o/n", "main", "b.safetensors"}).path.empty());
  CHECK(find_in_cache(scratch.folder(), {"o/n", "v1"}).path.empty());
  CHECK(find_in_cache(scratch.folder(), {"o/other"}).path.empty());
  CHECK(find_in_cache("", {"o/n"}).path.empty());
}

TEST_CASE("what a model lacks is told") {
  const Scratch scratch;
  const auto lacks_without = [&](const std::string& name) {
    fill(scratch);
    fs::remove_all(scratch.folder() / kFolder / name);
    return find_in_cache(scratch.folder(), {"o/n"}).lacks;
  };
  CHECK(lacks_without("unet") == "part 'unet'");
  CHECK(lacks_without("unet/diffusion_pytorch_model.safetensors") == "weights of 'unet'");
  CHECK(lacks_without("tokenizer/tokenizer.json") == "vocabulary of 'tokenizer'");
  CHECK(lacks_without("model_index.json") == "model_index.json");
  fill(scratch);
  fs::remove(scratch.folder() / kFolder / "unet/diffusion_pytorch_model.safetensors");
  scratch.write(kFolder + "/unet/diffusion_pytorch_model.safetensors.index.json",
                R"({"weight_map": {"a": "diffusion_pytorch_model-00001-of-00001.safetensors"}})");
  CHECK(find_in_cache(scratch.folder(), {"o/n"}).lacks == "weights of 'unet'");
}

TEST_CASE("the cache's models are listed by the names that graphs take") {
  const Scratch scratch;
  fill(scratch);
  const std::string other(40, 'a');
  scratch.write("models--o--n/snapshots/" + other + "/model_index.json", "{}");
  scratch.write("models--o--text/snapshots/" + other + "/config.json", "{}");
  scratch.write("datasets--o--n/snapshots/" + other + "/a.safetensors", "");
  const auto entries = models_in_cache(scratch.folder());
  REQUIRE(entries.size() == 3);
  CHECK(entries[0].model == "o/n");
  CHECK(entries[0].commit == kCommit);
  CHECK(entries[0].bytes == bytes_below(scratch.folder() / kFolder));
  CHECK(entries[1].model == "o/n/a.safetensors");
  CHECK(entries[1].bytes == 7);
  CHECK(entries[2].model == "o/n@" + other);
  CHECK(models_in_cache(scratch.folder() / "none").empty());
}

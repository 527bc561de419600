#include "weights/component_files.h"

#include "check.h"

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "runtime/weights/scratch.h"
#include "weights/safetensors.h"

using namespace emulsion;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> picked(const std::vector<std::string>& present) {
  const Scratch scratch;
  for (const std::string& name : present)
    scratch.write(name, name.ends_with(".json") ? R"({"weight_map":{"a":"model-1"}})" : "");
  scratch.write("model-1", "");
  std::vector<std::string> names;
  for (const fs::path& path : weight_files(scratch.folder()).files)
    names.push_back(path.filename().string());
  return names;
}

using Names = std::vector<std::string>;

std::string shard_of_zeros(const std::string& tensor) {
  return raw_safetensors("{\"" + tensor + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                         std::string(4, '\0'));
}

// What is wrong with an index and its two shards, after the index's path.
std::string fault_of_index(const std::string& index) {
  const Scratch scratch;
  const std::string name = scratch.write("model.safetensors.index.json", index).string();
  scratch.write("one.safetensors", shard_of_zeros("a"));
  scratch.write("two.safetensors", shard_of_zeros("b"));
  try {
    const WeightFiles weights = weight_files(scratch.folder());
    std::vector<std::shared_ptr<const TensorFile>> files;
    for (const fs::path& path : weights.files)
      files.push_back(std::make_shared<const SafetensorsFile>(path));
    check_shards(weights, files);
    return "fine";
  } catch (const WeightError& error) {
    const std::string text = error.what();
    REQUIRE(text.starts_with(name + ": "));
    return text.substr(name.size() + 2);
  }
}

}  // namespace

TEST_CASE("the plain weights come before those of a variant, and fp16 before other variants") {
  CHECK(picked({}) == Names{});
  CHECK(picked({"model.fp16.safetensors", "model.safetensors"}) == Names{"model.safetensors"});
  CHECK(picked({"model.bf16.safetensors", "model.fp16.safetensors"}) ==
        Names{"model.fp16.safetensors"});
  CHECK(picked({"diffusion_pytorch_model.non_ema.safetensors"}) ==
        Names{"diffusion_pytorch_model.non_ema.safetensors"});
  CHECK(picked({"adapter.safetensors", "model.fp16.safetensors"}) ==
        Names{"model.fp16.safetensors"});
  CHECK(picked({"weights.safetensors", "diffusion_pytorch_model.bin"}) ==
        Names{"weights.safetensors"});
}

TEST_CASE("a whole file comes before shards, and shards are found by every index's name") {
  CHECK(picked({"model.safetensors", "model.safetensors.index.json"}) ==
        Names{"model.safetensors"});
  CHECK(picked({"model.safetensors.index.json", "model-00001-of-00002.safetensors"}) ==
        Names{"model-1"});
  CHECK(picked({"model.safetensors.index.fp16.json", "model-00001-of-00002.fp16.safetensors"}) ==
        Names{"model-1"});
  CHECK(picked({"model.fp16.safetensors.index.json", "model.fp16-00001-of-00002.safetensors"}) ==
        Names{"model-1"});
}

TEST_CASE("shards without an index are refused") {
  const Scratch scratch;
  const fs::path shard = scratch.write("model-00001-of-00002.safetensors", "");
  CHECK_THROWS_WITH_AS(weight_files(scratch.folder()),
                       str(shard.string(),
                           ": a shard without an index: expected "
                           "'model.safetensors.index.json'; fetch the folder again")
                           .c_str(),
                       WeightError);
}

TEST_CASE("an index and its shards must tell the same") {
  const std::string again = "; fetch the folder again";
  CHECK(fault_of_index(R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})") ==
        "fine");
  CHECK(fault_of_index(R"({"weight_map":{"a":"one.safetensors","b":"one.safetensors"}})") ==
        "tensor 'b': expected in 'one.safetensors', which does not have it" + again);
  CHECK(fault_of_index(R"({"weight_map":{"a":"two.safetensors","b":"two.safetensors"}})") ==
        "tensor 'a': expected in 'two.safetensors', which does not have it" + again);
  CHECK(fault_of_index(R"({"weight_map":{"a":"one.safetensors","c":"two.safetensors"}})") ==
        "tensor 'b' is in 'two.safetensors': expected in no shard" + again);
  CHECK(fault_of_index(R"({"weight_map":{"b":"one.safetensors","a":"two.safetensors"}})") ==
        "tensor 'a' is in 'one.safetensors': expected in 'two.safetensors'" + again);
  CHECK(fault_of_index(R"({"weight_map":{"a":"one.safetensors","b":"gone.safetensors"}})") ==
        "shard 'gone.safetensors' is missing" + again);
  CHECK(fault_of_index(R"({"weight_map":{"a":"../one.safetensors"}})") ==
        "shard '../one.safetensors': expected a file of the same folder" + again);
  CHECK(fault_of_index(R"({"weight_map":{}})") == "names no shard" + again);
  CHECK(fault_of_index(R"({"weight_map":{"a":1}})") ==
        "expected a 'weight_map' of file names by tensor" + again);
  CHECK(fault_of_index("{") == "expected a JSON object" + again);
}

TEST_CASE("a component's config is found by its name") {
  const Scratch scratch;
  CHECK(component_config(scratch.folder()).empty());
  for (const char* name : {"tokenizer_config.json", "scheduler_config.json", "config.json"}) {
    scratch.write(name, "{}");
    CHECK(component_config(scratch.folder()).filename() == name);
  }
}

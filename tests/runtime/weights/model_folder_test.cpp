#include "check.h"

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "runtime/weights/scratch.h"
#include "weights/weight_store.h"

using namespace emulsion;
namespace fs = std::filesystem;

namespace {

// What the message says after the source.
std::string fault_of(const std::string& source, const std::vector<fs::path>& folders = {}) {
  try {
    find_model(source, folders);
    return "fine";
  } catch (const WeightError& error) {
    const std::string text = error.what(), place = str("model '", source, "': ");
    REQUIRE(text.starts_with(place));
    return text.substr(place.size());
  }
}

const fs::path kShipped = "../examples/models";

}  // namespace

TEST_CASE("a model is found by its path, and by its name among the shipped ones") {
  CHECK(find_model("../examples/models/tiny-sd21", {}) == kShipped / "tiny-sd21");
  CHECK(find_model("tiny-sd21", {"not there", kShipped}) == kShipped / "tiny-sd21");
}

TEST_CASE("a model that is not there is said with the shipped ones") {
  CHECK(fault_of("tiny", {kShipped}) ==
        "no such folder or file; give a folder in diffusers' layout, a .safetensors file, a hub id "
        "(owner/name), or a shipped model: 'tiny-sd21', 'tiny-sdxl'");
  CHECK(fault_of("") ==
        "no such folder or file; give a folder in diffusers' layout, a .safetensors file, or a hub "
        "id (owner/name)");
}

TEST_CASE(
    "of files, those in safetensors and GGUF format can be models, and pickles are told why not") {
  const Scratch scratch;
  CHECK(fault_of(scratch.write("v2-1.safetensors", "").string()) == "fine");
  for (const char* name : {"a.ckpt", "a.pt", "a.bin"})
    CHECK(fault_of(scratch.write(name, "").string()) ==
          "a pickle file, which can run any program when it is read, so it is not read at all; "
          "give the model's .safetensors file, or convert it with a tool that you trust");
  CHECK(fault_of(scratch.write("a.gguf", "").string()) == "fine");
  CHECK(fault_of(scratch.write("notes.txt", "").string()) ==
        "this is no model; give a folder in diffusers' layout or a .safetensors or .gguf file");
}

TEST_CASE("a folder that is empty, or is no model, is said with what is in it") {
  const Scratch scratch;
  const std::string folder = scratch.folder().string();
  CHECK(fault_of(folder) == "the folder is empty; expected a folder in diffusers' layout");
  scratch.write("holiday.jpg", "");
  scratch.write("letters/a.txt", "");
  CHECK(fault_of(folder) ==
        "no model_index.json: expected a folder in diffusers' layout, got 'holiday.jpg', "
        "'letters/'; give the folder that has one");
  scratch.write("config.json", "{}");
  CHECK(fault_of(folder) ==
        "no model_index.json: expected a folder in diffusers' layout, got 'config.json', "
        "'holiday.jpg', 'letters/'; this is a part of a model, give the folder above it");
  scratch.write("letters/config.json", "{}");
  CHECK(fault_of(folder) == "fine");
}

TEST_CASE("a model index that is no JSON object is refused") {
  const Scratch scratch;
  const std::string index = scratch.write("model_index.json", "{").string();
  CHECK_THROWS_WITH_AS(find_model(scratch.folder().string(), {}),
                       str(index, ": expected a JSON object; fetch the folder again").c_str(),
                       WeightError);
}

TEST_CASE("a model of another family is said with its parts when one is missing") {
  const Scratch scratch;
  scratch.write("model_index.json",
                R"({"_class_name": "FluxPipeline", "_diffusers_version": "0.30.0",
                    "transformer": ["diffusers", "FluxTransformer2DModel"],
                    "vae": ["diffusers", "AutoencoderKL"]})");
  const std::string folder = scratch.folder().string();
  CHECK(fault_of(folder) == "fine");
  CHECK_THROWS_WITH_AS(
      open_component(folder, "unet"),
      str("model '", folder,
          "': no part 'unet': got a 'FluxPipeline' with 'transformer', 'vae'; give "
          "a model that has it, or fetch the folder again")
          .c_str(),
      WeightError);
}

TEST_CASE("a missing part of a folder without an index is said with what is in it") {
  const Scratch scratch;
  scratch.write("vae/config.json", "{}");
  const std::string folder = scratch.folder().string();
  CHECK_THROWS_WITH_AS(open_component(folder, "unet"),
                       str("model '", folder,
                           "': no part 'unet': got 'vae/'; give a model that has it, or fetch the "
                           "folder again")
                           .c_str(),
                       WeightError);
}

TEST_CASE("a component has its place, its config, its files and its checked headers") {
  const fs::path model = kShipped / "tiny-sd21";
  const OpenComponent tokenizer = open_component(model, "tokenizer");
  CHECK(tokenizer.component->place == (model / "tokenizer").string());
  CHECK(tokenizer.component->config.find("model_max_length") != std::string::npos);
  CHECK(tokenizer.component->files.at("vocab.json") == model / "tokenizer/vocab.json");
  CHECK(tokenizer.files.empty());
  CHECK(open_component(model, "unet").files.size() == 1);
  CHECK(open_component("reference/sd21_base_like", "unet").files.size() == 3);
  CHECK(open_component("reference/sd21_v_like", "vae").files.size() == 1);
}

TEST_CASE("damaged weights are found when the component is opened") {
  const Scratch scratch;
  scratch.write("unet/config.json", "{}");
  const std::string file = scratch.write("unet/diffusion_pytorch_model.safetensors", "").string();
  CHECK_THROWS_WITH_AS(
      open_component(scratch.folder(), "unet"),
      str(file, ": expected a safetensors file, got 0 bytes; fetch the file again").c_str(),
      WeightError);
}

TEST_CASE("a pipeline's own settings are a part, and a folder without them has the defaults") {
  const Scratch scratch;
  CHECK(open_component(scratch.folder(), "model_index").component->config == "{}");
  scratch.write("model_index.json", R"({"force_zeros_for_empty_prompt": false})");
  const OpenComponent open = open_component(scratch.folder(), "model_index");
  CHECK(open.component->config == R"({"force_zeros_for_empty_prompt": false})");
  CHECK(open.component->place == (scratch.folder() / "model_index.json").string());
  CHECK(open.files.empty());
}

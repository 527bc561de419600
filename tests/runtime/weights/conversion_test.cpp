#include "weights/conversion.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>

#include <array>
#include <atomic>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "check.h"
#include "emulsion/errors.h"
#include "fakes/checkpoint_file.h"
#include "runtime/weights/scratch.h"
#include "weights/checkpoint.h"
#include "weights/safetensors_writer.h"

using namespace emulsion;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr std::array<const char*, 5> kModels = {"sd15_like", "sd21_base_like", "sd21_v_like",
                                                "sdxl_like", "sdxl_refiner_like"};
using Tensors = std::map<std::string, at::Tensor>;
using Dtype = std::optional<c10::ScalarType>;

fs::path folder_of(const std::string& model) { return fs::path("reference") / model; }

Conversion convert(const fs::path& model, const fs::path& target, Dtype dtype = std::nullopt) {
  const ModelLayout layout =
      target.extension() == ".safetensors" ? ModelLayout::SingleFile : ModelLayout::Folder;
  const Conversion conversion = plan_conversion(model, target, layout, dtype);
  write_conversion(conversion, {});
  return conversion;
}

constexpr std::array<std::pair<const char*, const char*>, 4> kRenamed = {
    {{".query.", ".to_q."},
     {".key.", ".to_k."},
     {".value.", ".to_v."},
     {".proj_attn.", ".to_out.0."}}};

// "part/name" of a folder's tensors, under the names of today.
Tensors tensors_of(const fs::path& model) {
  Tensors tensors;
  for (const fs::directory_entry& part : fs::directory_iterator(model)) {
    if (!part.is_directory()) continue;
    const std::string name = part.path().filename().string();
    for (const auto& file : open_component(model, name).files)
      for (const auto& [tensor, data] : read_safetensors(file->path())) {
        std::string today = tensor;
        for (const auto& [then, now] : kRenamed)
          today = fakes::FolderTensors::replaced(today, then, now);
        if (name.starts_with("text_encoder") && !today.starts_with("text_"))
          today = "text_model." + today;
        tensors.emplace(name + "/" + today, data);
      }
  }
  return tensors;
}

void check_equal(const Tensors& got, const Tensors& want) {
  CHECK(got.size() == want.size());
  for (const auto& [name, tensor] : want) {
    CAPTURE(name);
    const auto found = got.find(name);
    REQUIRE(found != got.end());
    CHECK(dtype_text(found->second.scalar_type()) == dtype_text(tensor.scalar_type()));
    REQUIRE(found->second.sizes() == tensor.sizes());
    CHECK(at::equal(found->second, tensor));
  }
}

json json_in(const fs::path& path) {
  std::ifstream file(path);
  return json::parse(file);
}

// Of settings and vocabularies that came with a single file.
std::size_t entries_beside(const fs::path& file) {
  std::size_t entries = 0;
  for (const char* ending : {".emulsion.json", ".tokenizer", ".tokenizer_2"})
    entries += fs::exists(fs::path(file).replace_extension(ending)) ? 1 : 0;
  return entries;
}

// "DIR" for the scratch folder.
template <class Act>
std::string fault_of(const Scratch& scratch, const Act& act) {
  try {
    act();
  } catch (const Error& fault) {
    return fakes::FolderTensors::replaced(fault.what(), scratch.folder().string(), "DIR");
  }
  return "none";
}

}  // namespace

TEST_CASE("a folder becomes the single file that its family has, bit for bit") {
  for (const std::string model : kModels) {
    CAPTURE(model);
    const Scratch scratch;
    const fs::path file = scratch.folder() / "model.safetensors";
    convert(folder_of(model), file);
    Tensors want, got = read_safetensors(file);
    for (const auto& [name, tensor] :
         fakes::as_checkpoint(folder_of(model), fakes::checkpoint_names(model)))
      want.emplace(name, tensor);
    for (const auto& name : fakes::checkpoint_names(model))
      if (name.target == "-") want.erase(name.source);
    std::erase_if(got, [](const auto& named) { return named.first.ends_with("position_ids"); });
    check_equal(got, want);
  }
}

TEST_CASE("folder to file to folder gives the same tensors, bit for bit") {
  for (const std::string model : kModels) {
    CAPTURE(model);
    const Scratch scratch;
    const fs::path file = scratch.folder() / "model.safetensors", back = scratch.folder() / "back";
    convert(folder_of(model), file);
    convert(file, back);
    check_equal(tensors_of(back), tensors_of(folder_of(model)));
    CHECK(scratch.entries() == entries_beside(file) + 2);
    const fs::path again = scratch.folder() / "again.safetensors";
    convert(back, again);
    check_equal(read_safetensors(again), read_safetensors(file));
  }
}

TEST_CASE("position ids go along where the file has a place for them") {
  const Scratch scratch;
  const fs::path file = scratch.folder() / "model.safetensors";
  convert(folder_of("sd15_like"), file);
  CHECK(read_safetensors(file).contains(
      "cond_stage_model.transformer.text_model.embeddings.position_ids"));
}

TEST_CASE("the folder of a single file has the configs that the file tells") {
  const Scratch scratch;
  const fs::path file = scratch.folder() / "model.safetensors", folder = scratch.folder() / "model";
  convert(folder_of("sdxl_like"), file);
  convert(file, folder);
  CHECK(find_model(folder.string(), {}) == folder);
  CHECK(json_in(folder / "model_index.json")["_class_name"] == "StableDiffusionXLPipeline");
  CHECK(json_in(folder / "model_index.json")["text_encoder_2"][1] == "CLIPTextModelWithProjection");
  CHECK(json_in(folder / "unet/config.json")["addition_embed_type"] == "text_time");
  CHECK(json_in(folder / "text_encoder_2/config.json")["projection_dim"] == 20);
  CHECK(json_in(folder / "scheduler/scheduler_config.json")["prediction_type"] == "epsilon");
}

TEST_CASE("what the UNet gives survives without a scheduler's config") {
  const Scratch scratch;
  const fs::path model = scratch.folder() / "v", file = scratch.folder() / "model.safetensors";
  fs::copy(folder_of("sd21_v_like"), model, fs::copy_options::recursive);
  convert(model, file);
  CHECK(read_checkpoint(file).prediction.type == "v_prediction");
  CHECK(SafetensorsFile(file).metadata().at("modelspec.prediction_type") == "v");
  CHECK(!read_checkpoint(file).prediction.zero_snr);
  scratch.write("v/scheduler/scheduler_config.json",
                R"({"prediction_type": "v_prediction", "rescale_betas_zero_snr": true})");
  const fs::path other = scratch.folder() / "zero.safetensors";
  convert(model, other);
  CHECK(read_checkpoint(other).prediction.zero_snr);
  scratch.write("v/scheduler/scheduler_config.json", R"({"prediction_type": "sample"})");
  const fs::path third = scratch.folder() / "sample.safetensors";
  convert(model, third);
  CHECK(read_checkpoint(third).prediction.type == "sample");
  scratch.write("v/scheduler/scheduler_config.json", R"({"prediction_type": "flow"})");
  CHECK(fault_of(scratch, [&] { convert(model, scratch.folder() / "x.safetensors"); }) ==
        "DIR/v: 'prediction_type' is \"flow\": expected epsilon, v_prediction or sample; fetch the "
        "folder again");
}

TEST_CASE("metadata goes along, from layout to layout") {
  const Scratch scratch;
  const fs::path first = scratch.folder() / "a.safetensors";
  save_safetensors(
      first, fakes::as_checkpoint(folder_of("sd15_like"), fakes::checkpoint_names("sd15_like")),
      {{"modelspec.title", "A model"}});
  convert(first, scratch.folder() / "folder");
  convert(scratch.folder() / "folder", scratch.folder() / "b.safetensors");
  convert(scratch.folder() / "b.safetensors", scratch.folder() / "c.safetensors");
  for (const char* file :
       {"folder/unet/diffusion_pytorch_model.safetensors", "b.safetensors", "c.safetensors"}) {
    const auto metadata = SafetensorsFile(scratch.folder() / file).metadata();
    CHECK(metadata.at("modelspec.title") == "A model");
    CHECK(metadata.at("format") == "pt");
  }
}

TEST_CASE("floating tensors take the dtype, others keep theirs") {
  const Scratch scratch;
  const fs::path file = scratch.folder() / "model.safetensors";
  convert(folder_of("sd15_like"), file, c10::ScalarType::BFloat16);
  const Tensors plain = tensors_of(folder_of("sd15_like"));
  const fs::path folder = scratch.folder() / "model";
  convert(folder_of("sd15_like"), folder, c10::ScalarType::BFloat16);
  const Tensors got = tensors_of(folder);
  CHECK(got.size() == plain.size());
  for (const auto& [name, tensor] : plain) {
    CAPTURE(name);
    CHECK(at::equal(got.at(name), tensor.is_floating_point() ? tensor.to(at::kBFloat16) : tensor));
  }
  CHECK(fs::exists(folder / "tokenizer/vocab.json"));
  CHECK(fs::exists(folder / "model_index.json"));
  const SafetensorsFile written(file);
  for (const auto& [name, stored] : written.tensors())
    CHECK((stored.spec.dtype == at::kBFloat16 || name.ends_with("position_ids")));
}

TEST_CASE("a file keeps its names when its dtype changes, those of nothing known too") {
  const Scratch scratch;
  const fs::path file = scratch.folder() / "a.safetensors",
                 other = scratch.folder() / "b.safetensors";
  save_safetensors(file, {{"strange", at::full({3}, 0.1)}, {"count", at::ones({}, at::kLong)}});
  convert(file, other, c10::ScalarType::Half);
  check_equal(read_safetensors(other),
              {{"strange", at::full({3}, 0.1).to(at::kHalf)}, {"count", at::ones({}, at::kLong)}});
}

TEST_CASE("values beyond float16 are refused, and leave nothing behind") {
  const Scratch scratch;
  const fs::path file = scratch.folder() / "a.safetensors",
                 other = scratch.folder() / "b.safetensors";
  save_safetensors(file, {{"large", at::full({3}, 70000.0)}});
  CHECK(fault_of(scratch, [&] { convert(file, other, c10::ScalarType::Half); }) ==
        "DIR/a.safetensors: tensor 'large' has values beyond float16's 65504; convert to bf16 or "
        "f32");
  CHECK(scratch.entries() == 1);
}

TEST_CASE("a disk that has no room is told before anything is written") {
  const Scratch scratch;
  Conversion conversion =
      plan_conversion(folder_of("sd15_like"), scratch.folder() / "f", ModelLayout::Folder, {});
  conversion.weights[0].tensors[0].target.spec.shape = {1LL << 50};  // 4 PiB
  const std::string fault = fault_of(scratch, [&] { write_conversion(conversion, {}); });
  CAPTURE(fault);
  CHECK(fault.starts_with("'DIR/f': expected "));
  CHECK(fault.find(" free, got ") != std::string::npos);
  CHECK(scratch.entries() == 0);
}

TEST_CASE("what is there already is not written over") {
  const Scratch scratch;
  const fs::path file = scratch.write("b.safetensors", "mine");
  CHECK(fault_of(scratch, [&] { convert(folder_of("sd15_like"), file); }) ==
        "'DIR/b.safetensors' is there already: expected a place for the model; give another one, "
        "or remove it first");
  CHECK(fault_of(scratch, [&] {
          convert(folder_of("sd15_like"), scratch.folder());
        }).starts_with("'DIR' is there already"));
}

TEST_CASE("a conversion that is cancelled leaves nothing, at whichever tensor") {
  for (const char* target : {"model.safetensors", "model"}) {
    const Scratch scratch;
    std::atomic<bool> cancelled = false;
    const Conversion conversion = plan_conversion(
        folder_of("sd15_like"), scratch.folder() / target,
        fs::path(target).has_extension() ? ModelLayout::SingleFile : ModelLayout::Folder, {});
    const auto stop = [&](std::int64_t done, std::int64_t tensors) {
      CHECK(tensors > 100);
      cancelled = done == tensors / 2;
    };
    CHECK_THROWS_AS(write_conversion(conversion, {&cancelled, stop}), Cancelled);
    CHECK(scratch.entries() == 0);
  }
}

TEST_CASE("a file that changes while it is read is noticed, and leaves nothing") {
  const Scratch scratch;
  const fs::path file = scratch.folder() / "a.safetensors";
  save_safetensors(file, {{"a", at::ones({3})}});
  const Conversion conversion =
      plan_conversion(file, scratch.folder() / "b.safetensors", ModelLayout::SingleFile, {});
  save_safetensors(file, {{"a", at::ones({4})}});
  CHECK_THROWS_AS(write_conversion(conversion, {}), WeightError);
  CHECK(scratch.entries() == 1);
}

TEST_CASE("what is left out is said") {
  const Scratch scratch;
  const fs::path file = scratch.folder() / "a.safetensors";
  Tensors tensors =
      fakes::as_checkpoint(folder_of("sd15_like"), fakes::checkpoint_names("sd15_like"));
  tensors.emplace("holiday", at::ones({2}));
  save_safetensors(file, tensors);
  const Conversion folder = plan_conversion(file, scratch.folder() / "f", ModelLayout::Folder, {});
  CHECK(folder.notes.at(0) == "left out 1 unknown tensors: 'holiday'");
  const fs::path model = scratch.folder() / "model";
  fs::copy(folder_of("sd15_like"), model, fs::copy_options::recursive);
  fs::create_directories(model / "safety_checker");
  save_safetensors(model / "safety_checker/model.safetensors", {{"a", at::ones({1})}});
  const Conversion single =
      plan_conversion(model, scratch.folder() / "b.safetensors", ModelLayout::SingleFile, {});
  CHECK(single.notes.at(0) ==
        "left out 'safety_checker', which a single file of Stable Diffusion 1 has no place for");
}

TEST_CASE("weights in other formats are told, and those of a network are refused") {
  const Scratch scratch;
  const fs::path model = scratch.folder() / "model";
  fs::copy(folder_of("sd15_like"), model, fs::copy_options::recursive);
  scratch.write("model/safety_checker/pytorch_model.bin", "x");
  const Conversion folder = plan_conversion(model, scratch.folder() / "f", ModelLayout::Folder, {});
  CHECK(folder.notes.at(0) ==
        "left out the weights of 'safety_checker', which are not in safetensors format");
  fs::remove(model / "unet/diffusion_pytorch_model.safetensors");
  scratch.write("model/unet/diffusion_pytorch_model.bin", "x");
  for (const char* target : {"f", "f.safetensors"})
    CHECK(fault_of(scratch, [&] { convert(model, scratch.folder() / target); }) ==
          "DIR/model/unet: no weights: expected a .safetensors file, got config.json, "
          "diffusion_pytorch_model.bin; fetch or convert the model in safetensors format");
}

TEST_CASE("a model that cannot be converted is refused before anything is written") {
  const Scratch scratch;
  const fs::path lora = scratch.folder() / "lora.safetensors";
  save_safetensors(lora, {{"lora_unet_conv_in.alpha", at::ones({1})}});
  CHECK(fault_of(scratch, [&] {
          convert(lora, scratch.folder() / "f");
        }).find("not a model that is known") != std::string::npos);
  const fs::path model = scratch.folder() / "model";
  fs::copy(folder_of("sdxl_like"), model, fs::copy_options::recursive);
  Tensors text = read_safetensors(model / "text_encoder_2/model.safetensors");
  std::erase_if(text, [](const auto& named) {
    return named.first.ends_with("layers.0.self_attn.k_proj.bias");
  });
  save_safetensors(model / "text_encoder_2/model.safetensors", text);
  CHECK(fault_of(scratch, [&] { convert(model, scratch.folder() / "x.safetensors"); }) ==
        "DIR/model/text_encoder_2: tensor 'text_model.encoder.layers.0.self_attn.k_proj.bias' is "
        "missing; fetch the folder again");
  CHECK(scratch.entries() == 2);
}

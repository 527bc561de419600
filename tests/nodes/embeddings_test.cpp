#include <ATen/TensorOperators.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "check.h"
#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "fakes/reference.h"
#include "fakes/run_node.h"
#include "weights/safetensors.h"
#include "weights/safetensors_writer.h"

// Prompts that name embeddings, from the text to the states: tokenizer and text encoder together.
namespace emulsion {
namespace {

namespace fs = std::filesystem;

const std::string kFolder = "reference/embeddings";

struct Prompt {
  std::string model, text, suffix;  // "_2" for the second encoder
  std::string states = "final", folder = kFolder;
};

fakes::NodeCase tokenizer_of(const Prompt& prompt) {
  return {.id = "tokenizer",
          .params = {{"embeddings", prompt.folder}},
          .model = fakes::reference_model(prompt.model),
          .parts = {{"vocab", "tokenizer" + prompt.suffix}},
          .inputs = {{"text", prompt.text}}};
}

Bundle tokens_of(const Prompt& prompt) {
  return std::get<Bundle>(fakes::run_node(tokenizer_of(prompt)).at("tokens"));
}

fakes::NodeCase encoder_of(const Prompt& prompt) {
  return {.id = "text_encoder",
          .params = {{"states", prompt.states}, {"embeddings", prompt.folder}},
          .model = fakes::reference_model(prompt.model),
          .parts = {{"encoder", "text_encoder" + prompt.suffix}},
          .inputs = {{"tokens", tokens_of(prompt)}}};
}

Bundle condition_of(const Prompt& prompt) {
  return std::get<Bundle>(fakes::run_node(encoder_of(prompt)).at("condition"));
}

at::Tensor hidden_of(const Prompt& prompt) { return condition_of(prompt).at("hidden"); }

at::Tensor reference(const std::string& name) {
  static const auto tensors = read_safetensors("reference/embeddings.safetensors");
  return tensors.at(name);
}

// What the act throws, with "DIR" for the folder.
template <class Act>
std::string fault_of(const Act& act, const std::string& folder = kFolder) {
  try {
    act();
  } catch (const Error& fault) {
    std::string text = fault.what();
    for (std::size_t at = text.find(folder); at != std::string::npos; at = text.find(folder))
      text.replace(at, folder.size(), "DIR");
    return text;
  }
  return "none";
}

}  // namespace

TEST_CASE("embeddings stand in a prompt as diffusers puts them") {
  CHECK(fakes::distance(hidden_of({"sd15_like", "a photo of embedding:one, red", ""}),
                        reference("sd15_like.0")) < 1e-5);
  const Prompt several{
      "sd15_like", "embedding:three and embedding:one on a blue background embedding:three", ""};
  CHECK(fakes::distance(hidden_of(several), reference("sd15_like.1")) < 1e-5);
}

TEST_CASE("each of two encoders takes its own vectors, and the pooled state is that of the end") {
  const std::string text = "a large embedding:both star";
  const Prompt first{"sdxl_like", text, "", "penultimate"};
  const Prompt second{"sdxl_like", text, "_2", "penultimate"};
  CHECK(fakes::distance(hidden_of(first), reference("sdxl_like.0")) < 1e-5);
  const Bundle made = condition_of(second);
  CHECK(fakes::distance(made.at("hidden"), reference("sdxl_like.0_2")) < 1e-5);
  CHECK(fakes::distance(made.at("pooled"), reference("sdxl_like.0.pooled")) < 1e-5);
}

TEST_CASE("the places of vectors are forecast exactly, and their bytes are counted") {
  const Prompt prompt{"sd15_like", "embedding:three or embedding:three", ""};
  const Bundle tokens = tokens_of(prompt);
  CHECK(to_text(fakes::forecast_node(tokenizer_of(prompt)).outputs.at("tokens")) ==
        to_text(spec_of(Value(tokens))));
  CHECK(tokens.at("embedding:three").sizes() == c10::IntArrayRef{2, 3});
  CHECK(tokens.at("embedding:three").const_data_ptr<std::int64_t>()[3] == 5);  // start, 3, "or"
  const Prompt plain{"sd15_like", "a or a", ""};
  CHECK(fakes::forecast_node(encoder_of(prompt)).workspace >
        fakes::forecast_node(encoder_of(plain)).workspace);
}

TEST_CASE("a weighted embedding moves away from the empty prompt, as words do") {
  const at::Tensor plain = hidden_of({"sd15_like", "embedding:three", ""})[0];
  const at::Tensor empty = hidden_of({"sd15_like", "", ""})[0];
  const at::Tensor weighted = hidden_of({"sd15_like", "(embedding:three:1.5)", ""})[0];
  CHECK(fakes::distance(
            weighted.narrow(0, 1, 3),
            (plain.narrow(0, 1, 3) - empty.narrow(0, 1, 3)) * 1.5 + empty.narrow(0, 1, 3)) < 1e-5);
  CHECK(fakes::distance(weighted[4], plain[4]) < 1e-5);
}

TEST_CASE("a single vector may be stored flat, and the name be given with its ending") {
  const at::Tensor flat = hidden_of({"sd15_like", "embedding:flat", ""});
  CHECK(fakes::distance(flat, hidden_of({"sd15_like", "", ""})) > 0.1);
  CHECK(fakes::distance(flat, hidden_of({"sd15_like", "embedding:flat.safetensors", ""})) == 0);
}

TEST_CASE("a prompt that is cut keeps what fits of an embedding") {
  std::string text;
  for (int i = 0; i < 74; ++i) text += "star ";
  fakes::NodeCase node = tokenizer_of({"sd15_like", text + "embedding:three", ""});
  node.params["overflow"] = std::string("cut");
  const Bundle tokens = std::get<Bundle>(fakes::run_node(node).at("tokens"));
  const auto* const places = tokens.at("embedding:three").const_data_ptr<std::int64_t>();
  CHECK(places[0] == 75);
  CHECK(places[1] == -1);
  node = encoder_of({"sd15_like", "a", ""});
  node.inputs = {{"tokens", tokens}};
  CHECK(std::get<Bundle>(fakes::run_node(node).at("condition")).at("hidden").size(1) == 77);
}

TEST_CASE("an embedding that is not there is said with those that are") {
  CHECK(fault_of([] {
          tokens_of({"sd15_like", "embedding:thre, red", ""});
        }) ==
        "embedding 'thre': not in 'DIR': expected both, flat, one, three; did you mean 'three'?");
  CHECK(fault_of([] {
          tokens_of({"sd15_like", "a embedding:one", "", "final", ""});
        }) ==
        "embedding 'one': no folder to find it in; give one as 'embeddings', or write the prompt "
        "without 'embedding:'");
  CHECK(fault_of([] {
          tokens_of({"sd15_like", "embedding:../one", ""});
        }) ==
        "embedding '../one': expected the name of a file in 'DIR', not a path; give its folder as "
        "'embeddings'");
}

TEST_CASE("an embedding of another width is refused with both widths, before the run") {
  CHECK(fault_of([] {
          condition_of({"sdxl_like", "embedding:three", ""});
        }) ==
        "embedding 'DIR/three.safetensors': vectors of width 32 ('<three>'): expected width 16, as "
        "the text encoder has; take an embedding for this model's family");
  CHECK(fault_of([] {
          fakes::forecast_node(encoder_of({"sdxl_like", "embedding:three", ""}));
        }).starts_with("embedding 'DIR/three.safetensors': vectors of width 32"));
}

TEST_CASE("instead of a folder a file may be given, or a LoRA's with embeddings bundled") {
  const std::string file = kFolder + "/three.safetensors";
  const at::Tensor want = hidden_of({"sd15_like", "a embedding:three", ""});
  CHECK(fakes::distance(hidden_of({"sd15_like", "a embedding:three", "", "final", file}), want) ==
        0);
  CHECK(fault_of([&] {
          tokens_of({"sd15_like", "embedding:one", "", "final", file});
        }) == "embedding 'one': not in 'DIR/three.safetensors': expected three");
  const fs::path folder = fs::temp_directory_path() / str("emulsion_embeddings_test_", getpid());
  fs::create_directories(folder);
  const std::string lora = (folder / "lora.safetensors").string();
  const at::Tensor vectors = read_safetensors(file).at("<three>");
  save_safetensors(lora, {{"bundle_emb.x.string_to_param.*", vectors},
                          {"bundle_emb.y.clip_l", vectors.narrow(0, 0, 1)},
                          {"lora_unet_conv_in.alpha", vectors.narrow(0, 0, 1)}});
  CHECK(fakes::distance(hidden_of({"sd15_like", "a embedding:x", "", "final", lora}), want) == 0);
  CHECK(tokens_of({"sd15_like", "embedding:y", "", "final", lora}).at("embedding:y").numel() == 1);
  CHECK(fault_of(
            [&] {
              tokens_of({"sd15_like", "embedding:lora", "", "final", lora});
            },
            folder.string()) == "embedding 'lora': not in 'DIR/lora.safetensors': expected x, y");
  fs::remove_all(folder);
}

TEST_CASE("a pickle file is refused in its place") {
  const fs::path folder = fs::temp_directory_path() / str("emulsion_embeddings_test_", getpid());
  fs::create_directories(folder);
  std::ofstream(folder / "bad.pt") << "x";
  const std::string expected =
      "embedding 'bad': 'DIR/bad.pt' is a pickle file, which can run any program when it is read, "
      "so it is not read at all; give it as .safetensors, or convert it with a tool that you trust";
  CHECK(fault_of(
            [&] {
              tokens_of({"sd15_like", "embedding:bad", "", "final", folder.string()});
            },
            folder.string()) == expected);
  fs::remove_all(folder);
}

}  // namespace emulsion

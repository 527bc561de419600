#pragma once

#include <list>
#include <string>
#include <vector>

#include "graph/node_catalog.h"

// Node types without code, for what needs only their descriptions.
namespace emulsion::fakes {

// Small ones, so that a broken graph fits in a few lines.
inline std::vector<NodeDescriptor> small_nodes() {
  return {
      {.id = "blur",
       .summary = "Takes a latent and gives one.",
       .inputs = {{"latent", port::kLatent}, {"mask", port::kLatent, "", true}},
       .outputs = {{"latent", port::kLatent}},
       .params = {{.name = "amount", .fallback = 1.0, .help = "", .min = 0.5, .max = 4.0},
                  {.name = "name", .fallback = std::string("plain"), .help = ""},
                  {.name = "fast", .fallback = false, .help = ""}}},
      {.id = "counter",
       .summary = "Gives a whole number.",
       .outputs = {{"number", port::kInt}},
       .params = {{.name = "steps", .fallback = std::int64_t{2}, .help = "", .min = 1, .max = 9}}},
      {.id = "measure",
       .summary = "Takes a latent and a number, and gives an image.",
       .inputs = {{"latent", port::kLatent}, {"scale", port::kFloat, "", true}},
       .outputs = {{"image", port::kImage}}},
      {.id = "model_user",
       .summary = "Uses two parts of a model.",
       .outputs = {{"latent", port::kLatent}},
       .slots = {{"config", ""}, {"unet", "", true}}},
      {.id = "source",
       .summary = "Gives a latent.",
       .outputs = {{"latent", port::kLatent}},
       .params = {{.name = "mode",
                   .fallback = std::string("white"),
                   .help = "",
                   .choices = {"white", "pink"}},
                  {.name = "seed", .fallback = std::int64_t{0}, .help = "", .min = 0},
                  {.name = "width",
                   .fallback = std::int64_t{64},
                   .help = "",
                   .optional = true,
                   .min = 8,
                   .max = 64,
                   .multiple_of = 8}}},
      {.id = "speak",
       .summary = "Takes a text.",
       .inputs = {{"text", port::kText}, {"again", port::kText, "", true}},
       .outputs = {{"tokens", port::kTokens}}},
  };
}

// What reads and writes files.
inline std::vector<NodeDescriptor> file_nodes() {
  const ParamSpec path{.name = "path", .fallback = std::string(), .help = "", .file = true};
  return {
      {.id = "image_read",
       .summary = "Reads a picture.",
       .outputs = {{"image", port::kImage}},
       .params = {path},
       .file_endings = {".png", ".jpg"}},
      {.id = "image_write",
       .summary = "Writes a picture.",
       .inputs = {{"image", port::kImage}, {"title", port::kText, "", true}},
       .outputs = {{"paths", port::kPaths}},
       .params = {path},
       .file_endings = {".png", ".exr"}},
      {.id = "tensor_read",
       .summary = "Reads a latent.",
       .outputs = {{"latent", port::kLatent}},
       .params = {path},
       .file_endings = {".safetensors"}},
      {.id = "tensor_write",
       .summary = "Writes a latent.",
       .inputs = {{"latent", port::kLatent}},
       .outputs = {{"paths", port::kPaths}},
       .params = {path},
       .file_endings = {".safetensors"}},
  };
}

// The stages of text to image, with the names that the shipped graphs use.
inline std::vector<NodeDescriptor> stages() {
  const ParamSpec embeddings{
      .name = "embeddings", .fallback = std::string(), .help = "", .optional = true, .file = true};
  const ParamSpec sampler{.name = "sampler",
                          .fallback = std::string("auto"),
                          .help = "",
                          .choices = {"auto", "euler", "ddim", "dpmpp_2m"}};
  const auto whole = [](std::string name, std::int64_t fallback) {
    return ParamSpec{.name = std::move(name), .fallback = fallback, .help = ""};
  };
  const auto size = [](std::string name) {
    return ParamSpec{.name = std::move(name),
                     .fallback = std::int64_t{512},
                     .help = "",
                     .optional = true,
                     .min = 8,
                     .max = 8192,
                     .multiple_of = 8};
  };
  return {
      {.id = "latent_noise",
       .summary = "Draws noise.",
       .inputs = {{"schedule", port::kSchedule}},
       .outputs = {{"latent", port::kLatent}},
       .params = {whole("seed", 0), size("width"), size("height"), whole("batch", 1)},
       .slots = {{"unet", ""}, {"vae", ""}}},
      {.id = "sampler_step",
       .summary = "Takes noise away.",
       .inputs = {{"latent", port::kLatent},
                  {"denoised", port::kLatent},
                  {"schedule", port::kSchedule},
                  {"index", port::kInt},
                  {"history", port::kHistory, "", true}},
       .outputs = {{"latent", port::kLatent}, {"history", port::kHistory}},
       .params = {sampler},
       .slots = {{"config", ""}}},
      {.id = "scheduler",
       .summary = "Spaces noise levels.",
       .outputs = {{"schedule", port::kSchedule}, {"iterations", port::kInt}},
       .params = {sampler,
                  {.name = "schedule",
                   .fallback = std::string("auto"),
                   .help = "",
                   .choices = {"auto", "karras"}},
                  whole("steps", 20)},
       .slots = {{"config", ""}}},
      {.id = "text_encoder",
       .summary = "Encodes tokens.",
       .inputs = {{"tokens", port::kTokens}},
       .outputs = {{"condition", port::kCondition}},
       .params = {embeddings},
       .slots = {{"encoder", "", true}}},
      {.id = "tokenizer",
       .summary = "Cuts a text into tokens.",
       .inputs = {{"text", port::kText}},
       .outputs = {{"tokens", port::kTokens}},
       .params = {{.name = "emphasis", .fallback = true, .help = ""}, embeddings},
       .slots = {{"vocab", ""}}},
      {.id = "unet_step",
       .summary = "Tells what a noisy latent shows.",
       .inputs = {{"latent", port::kLatent},
                  {"schedule", port::kSchedule},
                  {"index", port::kInt},
                  {"iterations", port::kInt, "", true},
                  {"positive", port::kCondition},
                  {"negative", port::kCondition, "", true},
                  {"state", {"unet_state", Holding::Bundle, ""}, "", true}},
       .outputs = {{"denoised", port::kLatent}, {"state", {"unet_state", Holding::Bundle, ""}}},
       .params = {{.name = "guidance", .fallback = 5.0, .help = ""},
                  {.name = "guidance_begin", .fallback = 0.0, .help = ""},
                  {.name = "guidance_end", .fallback = 1.0, .help = ""},
                  {.name = "cache_interval", .fallback = std::int64_t{1}, .help = ""},
                  {.name = "cache_branch", .fallback = std::int64_t{0}, .help = ""},
                  {.name = "skip_threshold", .fallback = 0.0, .help = ""},
                  {.name = "merge_ratio", .fallback = 0.0, .help = ""},
                  {.name = "merge_seed", .fallback = std::int64_t{0}, .help = ""}},
       .slots = {{"config", ""}, {"unet", "", true}}},
      {.id = "vae_decode",
       .summary = "Makes the picture.",
       .inputs = {{"latent", port::kLatent}},
       .outputs = {{"image", port::kImage}},
       .slots = {{"vae", "", true}}},
  };
}

// All of the above.  Lives until the process ends.
inline const NodeCatalog& catalog() {
  static const std::list<NodeDescriptor> nodes = [] {
    std::list<NodeDescriptor> all;
    for (auto* const group : {&small_nodes, &file_nodes, &stages})
      for (NodeDescriptor& node : group()) all.push_back(std::move(node));
    return all;
  }();
  static const NodeCatalog catalog = [] {
    NodeCatalog by_id;
    for (const NodeDescriptor& node : nodes) by_id[node.id] = &node;
    return by_id;
  }();
  return catalog;
}

}  // namespace emulsion::fakes

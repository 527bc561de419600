#pragma once

#include <ATen/ops/cat.h>
#include <ATen/ops/randn.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "weights/safetensors.h"
#include "weights/safetensors_writer.h"
#include "weights/weight_store.h"

// Single-file checkpoints, after the names in tests/reference/checkpoint_names.
namespace emulsion::fakes {

struct CheckpointName {
  std::string source, target;  // see reference/checkpoint_names.py
  std::vector<std::int64_t> shape;
};

inline std::vector<CheckpointName> checkpoint_names(const std::string& model) {
  std::ifstream file("reference/checkpoint_names/" + model + ".txt");
  std::vector<CheckpointName> names;
  CheckpointName last;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string kept, rest, kept_target, rest_target, shape;
    std::getline(fields, kept, '\t');
    std::getline(fields, rest, '\t');
    std::getline(fields, kept_target, '\t');
    std::getline(fields, rest_target, '\t');
    std::getline(fields, shape);
    last.source = last.source.substr(0, std::stoul(kept)) + rest;
    last.target = last.target.substr(0, std::stoul(kept_target)) + rest_target;
    if (shape != "=") {
      last.shape.clear();
      std::istringstream sizes(shape);
      for (std::string size; std::getline(sizes, size, ',');)
        last.shape.push_back(std::stoll(size));
    }
    names.push_back(last);
  }
  if (names.empty()) throw std::runtime_error("no names for " + model);
  return names;
}

// A file of full size in float16 that takes no room on the disk: its data was never written.
inline void write_hollow_checkpoint(const std::filesystem::path& path,
                                    const std::vector<CheckpointName>& names,
                                    const std::map<std::string, std::string>& metadata = {}) {
  nlohmann::json header = nlohmann::json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t end = 0;
  for (const CheckpointName& name : names) {
    std::uint64_t bytes = 2;
    for (const std::int64_t size : name.shape) bytes *= static_cast<std::uint64_t>(size);
    header[name.source] = {
        {"dtype", "F16"}, {"shape", name.shape}, {"data_offsets", {end, end + bytes}}};
    end += bytes;
  }
  const std::string text = header.dump();
  const std::uint64_t length = text.size();
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&length), sizeof length);
  file << text << std::flush;
  file.close();
  std::filesystem::resize_file(path, sizeof length + text.size() + end);
}

// A model folder's tensors by "part/name", whatever the age of its names.
class FolderTensors {
 public:
  explicit FolderTensors(const std::filesystem::path& model) {
    for (const char* part : {"unet", "vae", "text_encoder", "text_encoder_2"}) {
      if (!std::filesystem::exists(model / part)) continue;
      for (const auto& file : open_component(model, part).files)
        for (const auto& [name, tensor] : read_safetensors(file->path()))
          tensors_.emplace(std::string(part) + "/" + name, tensor);
    }
  }

  at::Tensor at(const std::string& name) const {
    const std::map<std::string, std::string> older = {
        {"to_q", "query"}, {"to_k", "key"}, {"to_v", "value"}, {"to_out.0", "proj_attn"}};
    std::vector<std::string> spellings = {name, replaced(name, "/text_model.", "/")};
    for (const auto& [now, then] : older)
      spellings.push_back(replaced(name, "." + now + ".", "." + then + "."));
    for (const std::string& spelling : spellings)
      if (const auto found = tensors_.find(spelling); found != tensors_.end()) return found->second;
    throw std::runtime_error("no tensor " + name);
  }

  static std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const std::size_t place = text.find(from);
    return place == std::string::npos ? text : text.replace(place, from.size(), to);
  }

 private:
  std::map<std::string, at::Tensor> tensors_;
};

// The tensors of the folder `model`, as a checkpoint has them that has these names.
inline std::map<std::string, at::Tensor> as_checkpoint(const std::filesystem::path& model,
                                                       const std::vector<CheckpointName>& names) {
  const FolderTensors folder(model);
  const std::string stacked = "{q,k,v}", transposed = "^T";
  std::map<std::string, at::Tensor> tensors;
  for (const CheckpointName& name : names) {
    at::Tensor tensor;
    if (name.target == "-") {
      tensor = at::randn(name.shape);  // whoever uses it gets another picture
    } else if (name.target.find(stacked) != std::string::npos) {
      std::vector<at::Tensor> parts;
      for (const char* part : {"q", "k", "v"})
        parts.push_back(folder.at(FolderTensors::replaced(name.target, stacked, part)));
      tensor = at::cat(parts);
    } else if (name.target.ends_with(transposed)) {
      tensor = folder.at(name.target.substr(0, name.target.size() - transposed.size())).t();
    } else {
      tensor = folder.at(name.target);
    }
    tensors.emplace(name.source, tensor.reshape(name.shape).contiguous());
  }
  return tensors;
}

}  // namespace emulsion::fakes

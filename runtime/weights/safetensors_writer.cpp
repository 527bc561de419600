#include "weights/safetensors_writer.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "weights/safetensors.h"

namespace emulsion {
namespace {

std::string header_text(const std::vector<NamedSpec>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  Bytes end = 0;
  for (const auto& [name, spec] : tensors) {
    const Bytes begin = end;
    end += spec.bytes();
    header[name] = {{"dtype", safetensors_dtype(name, spec.dtype)},
                    {"shape", spec.shape},
                    {"data_offsets", {begin, end}}};
  }
  std::string text = header.dump();
  constexpr std::size_t kAligned = 8;  // so that the data is
  text.resize((text.size() + kAligned - 1) / kAligned * kAligned, ' ');
  return text;
}

}  // namespace

bool written_before(const TensorSpec& one, const TensorSpec& other) {
  return c10::elementSize(one.dtype) > c10::elementSize(other.dtype);
}

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path,
                                     const std::vector<NamedSpec>& tensors,
                                     const std::map<std::string, std::string>& metadata)
    : file_(path) {
  const std::string header = header_text(tensors, metadata);
  const std::uint64_t length = header.size();
  file_.write(std::as_bytes(std::span(&length, 1)));
  file_.write(std::as_bytes(std::span(header)));
}

void save_safetensors(const std::filesystem::path& path,
                      const std::map<std::string, at::Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::vector<NamedSpec> specs;
  for (const auto& [name, tensor] : tensors)
    specs.push_back({name, {tensor.sizes().vec(), tensor.scalar_type()}});
  std::ranges::stable_sort(specs, written_before, &NamedSpec::spec);
  SafetensorsWriter writer(path, specs, metadata);
  for (const NamedSpec& spec : specs) {
    const at::Tensor stored = tensors.at(spec.name).detach().cpu().contiguous();
    writer.write({static_cast<const std::byte*>(stored.const_data_ptr()), stored.nbytes()});
  }
  writer.commit();
}

}  // namespace emulsion

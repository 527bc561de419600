#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "emulsion/weights.h"

// Bytes of GGUF files, damaged or not.
namespace emulsion::fakes {

template <class Number>
std::string little(Number number) {
  std::string bytes(sizeof number, '\0');
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

inline std::string gguf_text(const std::string& text) {
  return little<std::uint64_t>(text.size()) + text;
}

inline std::string gguf_start(std::uint64_t tensors, std::uint64_t entries,
                              std::uint32_t version = 3) {
  return "GGUF" + little(version) + little(tensors) + little(entries);
}

inline std::string gguf_number(const std::string& key, std::uint32_t value) {
  return gguf_text(key) + little<std::uint32_t>(4) + little(value);
}

// Extents with the fastest first.
inline std::string gguf_tensor(const std::string& name, const std::vector<std::uint64_t>& extents,
                               std::uint32_t type, std::uint64_t offset) {
  std::string bytes = gguf_text(name) + little(static_cast<std::uint32_t>(extents.size()));
  for (const std::uint64_t extent : extents) bytes += little(extent);
  return bytes + little(type) + little(offset);
}

inline std::string padded(std::string bytes) {
  constexpr std::size_t kAlignment = 32;
  bytes.resize((bytes.size() + kAlignment - 1) / kAlignment * kAlignment);
  return bytes;
}

inline std::uint32_t gguf_type(const Weight& weight) {
  const std::map<Packing, std::uint32_t> types = {{Packing::Q8_0, 8}, {Packing::Q4_0, 2},
                                                  {Packing::Q4_1, 3}, {Packing::Q5_0, 6},
                                                  {Packing::Q5_1, 7}, {Packing::None, 0}};
  return types.at(weight.packing);
}

// Plain weights are to be float32.
inline void write_gguf(const std::filesystem::path& path,
                       const std::map<std::string, Weight>& weights) {
  std::string header = gguf_start(weights.size(), 0), data;
  for (const auto& [name, weight] : weights) {
    const std::vector<std::int64_t>& shape = weight.spec.shape;
    header += gguf_tensor(name, {shape.rbegin(), shape.rend()}, gguf_type(weight), data.size());
    data += padded({static_cast<const char*>(weight.data.const_data_ptr()), weight.data.nbytes()});
  }
  std::ofstream(path, std::ios::binary) << padded(header) << data;
}

}  // namespace emulsion::fakes

#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "emulsion/descriptor.h"

namespace emulsion {

// What a plug-in library says of itself, as the file beside it tells: enough to check graphs and
// to print help without loading the library.
struct Manifest {
  std::string abi_stamp;
  std::uint32_t api_major = 0, api_minor = 0;
  std::string library;                // the file's name, without a folder
  std::vector<NodeDescriptor> nodes;  // complete but for `create`
};

// All of a descriptor but `create`.  Equal descriptors give equal JSON.  [any thread]
nlohmann::ordered_json to_json(const NodeDescriptor& node);

// The reverse.  Names of port types live until the process ends.  Throws nlohmann's exceptions on
// a key that is missing or of another kind.  [any thread]
NodeDescriptor descriptor_of(const nlohmann::ordered_json& json);

// `<folder>/<stem>.emulsion.json`, beside the library.  [any thread]
std::filesystem::path manifest_path(const std::filesystem::path& library);

// The manifest beside the library, or nothing where there is none.  Throws PluginError when it is
// damaged, of another library, or written for another API or ABI than this runtime's. [any thread]
std::optional<Manifest> read_manifest(const std::filesystem::path& library);

// Writes a temporary file beside `path` and renames it.  Throws PluginError.  [any thread]
void write_manifest(const Manifest& manifest, const std::filesystem::path& path);

// Throws PluginError, led by `place`, unless API and stamp are this runtime's.  [any thread]
void check_abi(const std::string& place, std::uint32_t api_major, std::uint32_t api_minor,
               const std::string& abi_stamp);

}  // namespace emulsion

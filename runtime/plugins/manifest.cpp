#include "plugins/manifest.h"

#include <array>
#include <cerrno>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "emulsion/errors.h"
#include "emulsion/plugin.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 6> kHoldings{"bool",   "int",    "float",
                                                    "string", "tensor", "bundle"};
constexpr std::array<std::string_view, 2> kHomes{"device", "host"};
constexpr std::array<std::string_view, 4> kPhases{"other", "encode", "denoise", "decode"};

// Never freed: descriptors are handed out, and may outlive any static object.
std::string_view interned(const std::string& text) {
  static std::mutex mutex;
  static auto& pool = *new std::set<std::string>;
  const std::lock_guard lock(mutex);
  return *pool.insert(text).first;
}

template <class Enum, std::size_t N>
std::string_view name_of(Enum value, const std::array<std::string_view, N>& names) {
  return names.at(static_cast<std::size_t>(value));
}

template <class Enum, std::size_t N>
Enum named(const Json& json, const std::array<std::string_view, N>& names) {
  const auto& name = json.get_ref<const std::string&>();
  for (std::size_t i = 0; i < N; ++i)
    if (names[i] == name) return static_cast<Enum>(i);
  throw std::invalid_argument(str("'", name, "' is not known"));
}

Json optional_number(const std::optional<double>& number) {
  return number ? Json(*number) : Json(nullptr);
}

std::optional<double> optional_number(const Json& json) {
  return json.is_null() ? std::nullopt : std::optional(json.get<double>());
}

Json json_of(const PortSpec& port) {
  return {{"name", port.name},
          {"type", port.type.name},
          {"holding", name_of(port.type.holding, kHoldings)},
          {"layout", port.type.layout},
          {"home", name_of(port.type.home, kHomes)},
          {"help", port.help},
          {"optional", port.optional}};
}

PortSpec port_of(const Json& json) {
  return {.name = json.at("name"),
          .type = {.name = interned(json.at("type")),
                   .holding = named<Holding>(json.at("holding"), kHoldings),
                   .layout = interned(json.at("layout")),
                   .home = named<Home>(json.at("home"), kHomes)},
          .help = json.at("help"),
          .optional = json.at("optional")};
}

Param param_of(const Json& json, std::string_view kind) {
  if (kind == "bool") return json.get<bool>();
  if (kind == "int") return json.get<std::int64_t>();
  if (kind == "float") return json.get<double>();
  if (kind == "string") return json.get<std::string>();
  throw std::invalid_argument(str("kind '", kind, "' is not known"));
}

Json json_of(const ParamSpec& param) {
  return {{"name", param.name},
          {"kind", kind_text(param.fallback)},
          {"default", std::visit([](const auto& value) { return Json(value); }, param.fallback)},
          {"help", param.help},
          {"label", param.label},
          {"optional", param.optional},
          {"min", optional_number(param.min)},
          {"max", optional_number(param.max)},
          {"display_min", optional_number(param.display_min)},
          {"display_max", optional_number(param.display_max)},
          {"multiple_of", param.multiple_of},
          {"choices", param.choices},
          {"unit", param.unit},
          {"multiline", param.multiline},
          {"file", param.file},
          {"animatable", param.animatable}};
}

ParamSpec param_spec_of(const Json& json) {
  return {.name = json.at("name"),
          .fallback = param_of(json.at("default"), json.at("kind").get<std::string>()),
          .help = json.at("help"),
          .label = json.at("label"),
          .optional = json.at("optional"),
          .min = optional_number(json.at("min")),
          .max = optional_number(json.at("max")),
          .display_min = optional_number(json.at("display_min")),
          .display_max = optional_number(json.at("display_max")),
          .multiple_of = json.at("multiple_of"),
          .choices = json.at("choices").get<std::vector<std::string>>(),
          .unit = json.at("unit"),
          .multiline = json.at("multiline"),
          .file = json.at("file"),
          .animatable = json.at("animatable")};
}

Json json_of(const SlotSpec& slot) {
  return {{"name", slot.name}, {"help", slot.help}, {"has_weights", slot.has_weights}};
}

SlotSpec slot_of(const Json& json) {
  return {.name = json.at("name"), .help = json.at("help"), .has_weights = json.at("has_weights")};
}

template <class Spec>
Json list_of(const std::vector<Spec>& specs) {
  Json list = Json::array();
  for (const Spec& spec : specs) list.push_back(json_of(spec));
  return list;
}

template <class Spec>
std::vector<Spec> specs_of(const Json& list, Spec (*spec_of)(const Json&)) {
  if (!list.is_array()) throw std::invalid_argument("expected a list");
  std::vector<Spec> specs;
  for (const Json& json : list) specs.push_back(spec_of(json));
  return specs;
}

// nlohmann leads its messages with "[json.exception.out_of_range.403] ".
std::string without_tag(const std::string& message) {
  const std::size_t end = message.starts_with('[') ? message.find("] ") : std::string::npos;
  return end == std::string::npos ? message : message.substr(end + 2);
}

// Reads the stamps first: what follows may look different in another version.
Manifest manifest_of(const Json& json, const std::string& place) {
  Manifest manifest{.abi_stamp = json.at("abi_stamp"),
                    .api_major = json.at("api").at("major"),
                    .api_minor = json.at("api").at("minor"),
                    .library = json.at("library"),
                    .nodes = {}};
  check_abi(place, manifest.api_major, manifest.api_minor, manifest.abi_stamp);
  manifest.nodes = specs_of<NodeDescriptor>(json.at("nodes"), descriptor_of);
  return manifest;
}

}  // namespace

Json to_json(const NodeDescriptor& node) {
  return {{"id", node.id},
          {"summary", node.summary},
          {"inputs", list_of(node.inputs)},
          {"outputs", list_of(node.outputs)},
          {"params", list_of(node.params)},
          {"slots", list_of(node.slots)},
          {"variants", node.variants},
          {"runs_on", name_of(node.runs_on, kHomes)},
          {"phase", name_of(node.phase, kPhases)},
          {"has_effects", node.has_effects},
          {"file_endings", node.file_endings}};
}

NodeDescriptor descriptor_of(const Json& json) {
  return {.id = json.at("id"),
          .summary = json.at("summary"),
          .inputs = specs_of<PortSpec>(json.at("inputs"), port_of),
          .outputs = specs_of<PortSpec>(json.at("outputs"), port_of),
          .params = specs_of<ParamSpec>(json.at("params"), param_spec_of),
          .slots = specs_of<SlotSpec>(json.at("slots"), slot_of),
          .variants = json.at("variants").get<std::vector<std::string>>(),
          .runs_on = named<Home>(json.at("runs_on"), kHomes),
          .phase = named<Phase>(json.at("phase"), kPhases),
          .has_effects = json.at("has_effects"),
          .file_endings = json.at("file_endings").get<std::vector<std::string>>()};
}

std::filesystem::path manifest_path(const std::filesystem::path& library) {
  std::filesystem::path path = library;
  return path.replace_extension(".emulsion.json");
}

std::optional<Manifest> read_manifest(const std::filesystem::path& library) {
  const std::filesystem::path path = manifest_path(library);
  std::error_code unreadable;
  if (!std::filesystem::exists(path, unreadable)) return std::nullopt;
  try {
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot be opened");
    Manifest manifest = manifest_of(Json::parse(file), library.string());
    if (manifest.library != library.filename())
      throw std::runtime_error(str("it is of '", manifest.library, "'"));
    return manifest;
  } catch (const PluginError&) {
    throw;
  } catch (const std::exception& fault) {
    throw PluginError(str(path.string(), ": not the manifest of '", library.filename().string(),
                          "': ", without_tag(fault.what()), "; rebuild the plug-in"));
  }
}

void write_manifest(const Manifest& manifest, const std::filesystem::path& path) {
  const Json json{{"abi_stamp", manifest.abi_stamp},
                  {"api", {{"major", manifest.api_major}, {"minor", manifest.api_minor}}},
                  {"library", manifest.library},
                  {"nodes", [&] {
                     Json nodes = Json::array();
                     for (const NodeDescriptor& node : manifest.nodes)
                       nodes.push_back(to_json(node));
                     return nodes;
                   }()}};
  std::filesystem::path partial = path;
  partial += ".part";
  errno = 0;
  std::error_code failed;
  {
    std::ofstream file(partial);
    file << json.dump(2) << '\n';
    file.close();
    if (!file) failed = std::error_code(errno != 0 ? errno : EIO, std::generic_category());
  }
  if (!failed) std::filesystem::rename(partial, path, failed);
  if (!failed) return;
  std::error_code ignored;
  std::filesystem::remove(partial, ignored);
  throw PluginError(str(path.string(), ": cannot be written: ", failed.message()));
}

void check_abi(const std::string& place, std::uint32_t api_major, std::uint32_t api_minor,
               const std::string& abi_stamp) {
  if (api_major != EMULSION_API_MAJOR || api_minor > EMULSION_API_MINOR)
    throw PluginError(str(place, ": plug-in API: expected ", EMULSION_API_MAJOR, ".",
                          EMULSION_API_MINOR, ", got ", api_major, ".", api_minor,
                          "; rebuild the plug-in for this version"));
  if (abi_stamp != EMULSION_ABI_STAMP)
    throw PluginError(str(place, ": plug-in ABI: expected '", EMULSION_ABI_STAMP, "', got '",
                          abi_stamp, "'; rebuild the plug-in with this compiler and LibTorch"));
}

}  // namespace emulsion

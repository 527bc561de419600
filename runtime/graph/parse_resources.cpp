#include "graph/parse_resources.h"

#include "graph/resource_types.h"

namespace emulsion {
namespace {

// Parts and blocks of a model have names with dots.
std::vector<Entry> table_in(const Json& object, const std::string& path, Faults& faults) {
  std::vector<Entry> entries;
  if (!object.is_object()) {
    faults.add(path, "expected an object, got ", kind_text(object));
    return entries;
  }
  for (const auto& [name, value] : object.items()) {
    const std::string place = below(path, name);
    entries.push_back({name, place, setting_in(value, place, faults)});
  }
  return entries;
}

ResourceSpec read_resource(const std::string& name, const Json& json, const std::string& path,
                           Faults& faults) {
  ObjectReader reader(json, path, faults);
  ResourceSpec resource{.name = name, .path = path, .type = reader.required_text("type")};
  const ResourceType* type = find_resource_type(resource.type);
  if (type == nullptr) return resource;  // reported by take_resources(); nothing else can be judged
  for (const ResourceKey& key : type->keys) {
    const Json* value = key.is_required ? reader.required(key.name) : reader.find(key.name);
    if (value == nullptr) continue;
    const std::string place = reader.path_of(key.name);
    resource.values.push_back({key.name, place, setting_in(*value, place, faults)});
  }
  if (const Json* table = reader.find(type->table))
    resource.table = table_in(*table, reader.path_of(type->table), faults);
  reader.refuse_other_keys();
  return resource;
}

}  // namespace

std::vector<ResourceSpec> parse_resources(const Json& resources, Faults& faults) {
  std::vector<ResourceSpec> read;
  for_each_named(resources, "/resources", faults,
                 [&](const std::string& name, const Json& json, const std::string& path) {
                   read.push_back(read_resource(name, json, path, faults));
                 });
  return read;
}

Term setting_in(const Json& json, const std::string& path, Faults& faults) {
  if (json.is_string()) {
    const std::string& text = json.get_ref<const std::string&>();
    if (text.starts_with("$$")) return Param(text.substr(1));
    if (text.starts_with("$")) return InputRef{text.substr(1)};
  }
  if (std::optional<Param> literal = literal_in(json)) return *literal;
  faults.add(path, "expected a bool, a number, a string or \"$input\", got ", kind_text(json));
  return {};
}

}  // namespace emulsion

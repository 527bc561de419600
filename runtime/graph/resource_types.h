#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace emulsion {

struct ResourceKey {
  std::string name;
  bool is_required = true;
};

// What may stand in a resource of a type, besides "type".
struct ResourceType {
  std::string name;
  std::vector<ResourceKey> keys;
  std::string table;  // a key with values of its own by part or block
};

// [any thread]
const std::vector<ResourceType>& resource_types();
const ResourceType* find_resource_type(std::string_view name);  // null: unknown

}  // namespace emulsion

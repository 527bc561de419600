#include "graph/resource_types.h"

#include <algorithm>

namespace emulsion {

const std::vector<ResourceType>& resource_types() {
  static const std::vector<ResourceType> types = {
      {"checkpoint", {{"source"}, {"weight_dtype", false}}, "parts"},
      {"merge", {{"a"}, {"b"}, {"ratio"}}, "ratios"},
      {"lora", {{"base"}, {"source"}, {"strength", false}}, "blocks"},
  };
  return types;
}

const ResourceType* find_resource_type(std::string_view name) {
  const auto found = std::ranges::find(resource_types(), name, &ResourceType::name);
  return found == resource_types().end() ? nullptr : &*found;
}

}  // namespace emulsion

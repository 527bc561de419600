#include "weights/weight_dtype.h"

#include <nlohmann/json.hpp>

namespace emulsion {

c10::ScalarType weight_dtype(const Component& component, c10::ScalarType dtype) {
  if (dtype != c10::ScalarType::Half) return dtype;
  const auto config = nlohmann::json::parse(component.config, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) return dtype;
  const auto upcast = config.find("force_upcast");
  const bool overflows = upcast != config.end() && upcast->is_boolean() && upcast->get<bool>();
  return overflows ? c10::ScalarType::BFloat16 : dtype;
}

}  // namespace emulsion

#include "weights/config_text.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "emulsion/python_json.h"

namespace emulsion {

nlohmann::json parse_config(std::string text) {
  return nlohmann::json::parse(without_infinities(std::move(text)), nullptr,
                               /*allow_exceptions=*/false);
}

}  // namespace emulsion

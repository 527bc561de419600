#include "graph/near_names.h"

#include <nlohmann/json.hpp>

#include "emulsion/nearest_name.h"
#include "emulsion/str.h"

namespace emulsion {
std::string joined(const std::vector<std::string>& names, std::string_view separator) {
  std::string text;
  for (const std::string& name : names) {
    if (!text.empty()) text += separator;
    text += name;
  }
  return text;
}

std::string expected_one_of(const std::vector<std::string>& candidates, std::string_view got) {
  constexpr std::size_t kMostToList = 12;
  if (candidates.empty()) return str(": expected none, got ", quote(got));
  const std::string near = nearest_name(candidates, got);
  std::string expected = candidates.size() == 1 ? "" : "one of ";
  if (candidates.size() > kMostToList && !near.empty())
    expected += str(candidates.size(), " names");
  else
    expected += joined(candidates);
  return str(": expected ", expected, ", got ", quote(got),
             near.empty() ? "" : str("; did you mean '", near, "'?"));
}

bool is_utf8(std::string_view text) {
  try {
    const std::string checked = nlohmann::json(text).dump();  // throws on ill-formed UTF-8
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

std::string quote(std::string_view text) {
  constexpr std::size_t kLongest = 60;
  const std::string_view head = text.substr(0, kLongest);
  const auto replace = nlohmann::json::error_handler_t::replace;
  std::string escaped = nlohmann::json(head).dump(-1, ' ', false, replace);
  escaped.front() = '\'';
  escaped.pop_back();
  return escaped + (text.size() > kLongest ? "…'" : "'");
}

}  // namespace emulsion

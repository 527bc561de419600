#include "emulsion/params.h"

#include <array>
#include <charconv>
#include <stdexcept>

#include "emulsion/str.h"

namespace emulsion {

const Param& Params::at(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) throw std::logic_error(str("no parameter '", name, "'"));
  return found->second;
}

void Params::throw_wrong_kind(std::string_view name) {
  throw std::logic_error(str("parameter '", name, "' is read as another kind than it has"));
}

std::string_view kind_text(const Param& param) {
  constexpr std::array<std::string_view, 4> kKinds{"bool", "int", "float", "string"};
  return kKinds[param.index()];
}

std::string to_text(const Param& param) {
  if (const auto* flag = std::get_if<bool>(&param)) return *flag ? "true" : "false";
  if (const auto* number = std::get_if<double>(&param)) {
    std::array<char, 32> digits{};  // the shortest form that reads back the same
    const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), *number);
    return {digits.data(), result.ptr};
  }
  if (const auto* whole = std::get_if<std::int64_t>(&param)) return std::to_string(*whole);
  return std::get<std::string>(param);
}

}  // namespace emulsion

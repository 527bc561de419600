#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "emulsion/export.h"

namespace emulsion {

using Param = std::variant<bool, std::int64_t, double, std::string>;

// A node's parameters, checked against its ParamSpecs: each one that is not optional is there,
// has the kind of its fallback, and lies in its range.  [any thread]
class EMULSION_API Params {
 public:
  Params() = default;
  explicit Params(std::map<std::string, Param, std::less<>> values) : values_(std::move(values)) {}

  bool has(std::string_view name) const { return values_.find(name) != values_.end(); }

  // Throws std::logic_error on a name or a kind that the descriptor does not have.
  template <class T>
  const T& get(std::string_view name) const {
    const T* value = std::get_if<T>(&at(name));
    if (value == nullptr) throw_wrong_kind(name);
    return *value;
  }

  template <class T>
  std::optional<T> find(std::string_view name) const {
    return has(name) ? std::optional<T>(get<T>(name)) : std::nullopt;
  }

  const std::map<std::string, Param, std::less<>>& values() const { return values_; }

 private:
  const Param& at(std::string_view name) const;
  [[noreturn]] static void throw_wrong_kind(std::string_view name);

  std::map<std::string, Param, std::less<>> values_;
};

// "bool", "int", "float" or "string".  [any thread]
EMULSION_API std::string_view kind_text(const Param& param);

// The value as a person writes it.  [any thread]
EMULSION_API std::string to_text(const Param& param);

}  // namespace emulsion

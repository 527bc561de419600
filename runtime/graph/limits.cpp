#include "graph/limits.h"

#include <algorithm>

#include "emulsion/str.h"
#include "graph/near_names.h"

namespace emulsion {
namespace {

std::string number(double value) { return to_text(Param(value)); }

std::string range_text(const Limits& limits) {
  if (limits.min && limits.max) return str(number(*limits.min), "..", number(*limits.max));
  if (limits.min) return str("at least ", number(*limits.min));
  return str("at most ", number(*limits.max));
}

std::string number_beyond(const Limits& limits, const Param& value, double as_double) {
  const auto* whole = std::get_if<std::int64_t>(&value);
  const std::int64_t step = limits.multiple_of;
  const bool in_range =
      (!limits.min || as_double >= *limits.min) && (!limits.max || as_double <= *limits.max);
  const bool on_step = step <= 1 || whole == nullptr || *whole % step == 0;
  if (in_range && on_step) return {};
  std::string expected;
  if (step > 1) expected = str("a multiple of ", step);
  if (limits.min || limits.max)
    expected += str(expected.empty()           ? ""
                    : limits.min && limits.max ? " in "
                                               : ", ",
                    range_text(limits));
  std::string text = str("expected ", expected, ", got ", to_text(value));
  if (in_range && !on_step) {
    const std::int64_t below = *whole - *whole % step;
    text += str("; nearest are ", below, " and ", below + step);
  }
  return text;
}

}  // namespace

Limits limits(const GraphInput& input) {
  return {input.min, input.max, input.multiple_of, input.choices};
}

Limits limits(const ParamSpec& spec) {
  return {spec.min, spec.max, spec.multiple_of, spec.choices};
}

std::string to_text(const Limits& limits) {
  if (!limits.choices.empty()) return "one of " + joined(limits.choices);
  std::string text = limits.min || limits.max ? range_text(limits) : "";
  if (limits.multiple_of > 1)
    text += str(text.empty() ? "" : ", ", "a multiple of ", limits.multiple_of);
  return text;
}

std::string beyond(const Limits& limits, const Param& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value))
    return number_beyond(limits, value, static_cast<double>(*whole));
  if (const auto* real = std::get_if<double>(&value)) return number_beyond(limits, value, *real);
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr || limits.choices.empty()) return {};
  if (std::ranges::find(limits.choices, *text) != limits.choices.end()) return {};
  return expected_one_of(limits.choices, *text).substr(2);  // without the leading ": "
}

std::size_t kind_of(InputType type) {
  switch (type) {
    case InputType::Bool: return Param(false).index();
    case InputType::Int: return Param(std::int64_t{0}).index();
    case InputType::Float: return Param(0.0).index();
    default: return Param(std::string()).index();
  }
}

std::optional<Param> in_kind(const Param& value, std::size_t kind) {
  if (value.index() == kind) return value;
  const auto* whole = std::get_if<std::int64_t>(&value);
  if (whole != nullptr && kind == Param(0.0).index()) return Param(static_cast<double>(*whole));
  return std::nullopt;
}

}  // namespace emulsion

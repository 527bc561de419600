#include "graph/inputs.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "graph/limits.h"
#include "graph/near_names.h"

namespace emulsion {
namespace {

constexpr std::array<std::pair<InputType, std::string_view>, 9> kTypes{{
    {InputType::Model, "model"},
    {InputType::Text, "text"},
    {InputType::Int, "int"},
    {InputType::Float, "float"},
    {InputType::Bool, "bool"},
    {InputType::Choice, "choice"},
    {InputType::Image, "image"},
    {InputType::Latent, "latent"},
    {InputType::File, "file"},
}};

[[noreturn]] void refuse(const GraphInput& input, const std::string& why) {
  throw GraphError(str("input '", input.name, "': ", why));
}

// The whole text as a number, or nothing.
template <class Number>
std::optional<Number> number_in(std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  Number number{};
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::int64_t whole_in(const GraphInput& input, std::string_view text) {
  const auto number = number_in<std::int64_t>(text);
  if (!number) refuse(input, str("expected a whole number of 64 bits, got ", quote(text)));
  return *number;
}

double real_in(const GraphInput& input, std::string_view text) {
  const auto number = number_in<double>(text);
  if (!number || !std::isfinite(*number))
    refuse(input, str("expected a finite number, got ", quote(text)));
  return *number;
}

bool flag_in(const GraphInput& input, std::string_view text) {
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  refuse(input, str("expected true or false, got ", quote(text)));
}

void check_text(const GraphInput& input, const std::string& text) {
  if (!is_utf8(text)) refuse(input, str("expected text in UTF-8, got other bytes: ", quote(text)));
  const bool is_place = input.type == InputType::Model || input.type == InputType::File ||
                        is_bound_to_file(input.type);
  if (is_place && text.empty())
    refuse(input,
           str("expected a ", input.type == InputType::Model ? "model" : "path", ", got ''"));
}

}  // namespace

std::string_view to_text(InputType type) { return kTypes[static_cast<std::size_t>(type)].second; }

std::optional<InputType> input_type(std::string_view text) {
  for (const auto& [type, name] : kTypes)
    if (name == text) return type;
  return std::nullopt;
}

std::vector<std::string> input_type_names() {
  std::vector<std::string> names;
  for (const auto& [type, name] : kTypes) names.emplace_back(name);
  return names;
}

bool is_bound_to_file(InputType type) {
  return type == InputType::Image || type == InputType::Latent;
}

Param parse_value(const GraphInput& input, std::string_view text) {
  switch (input.type) {
    case InputType::Int: return checked_value(input, whole_in(input, text));
    case InputType::Float: return checked_value(input, real_in(input, text));
    case InputType::Bool: return checked_value(input, flag_in(input, text));
    default: return checked_value(input, std::string(text));
  }
}

Param checked_value(const GraphInput& input, const Param& value) {
  const std::optional<Param> converted = in_kind(value, kind_of(input.type));
  if (!converted)
    refuse(input, str("expected ", to_text(input.type), ", got ", kind_text(value), " ",
                      quote(to_text(value))));
  if (const auto* text = std::get_if<std::string>(&*converted)) check_text(input, *text);
  if (const auto* real = std::get_if<double>(&*converted); real != nullptr && !std::isfinite(*real))
    refuse(input, str("expected a finite number, got ", to_text(*converted)));
  if (const std::string why = beyond(limits(input), *converted); !why.empty()) refuse(input, why);
  return *converted;
}

}  // namespace emulsion

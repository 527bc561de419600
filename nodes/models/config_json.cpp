#include "models/config_json.h"

#include <nlohmann/json.hpp>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion::models {

using nlohmann::json;

struct ConfigJson::Document {
  json root;

  const json* find(const std::string& key) const {
    const auto found = root.find(key);
    return found == root.end() || found->is_null() ? nullptr : &*found;
  }
};

namespace {

bool holds(const json& value, const bool*) { return value.is_boolean(); }
bool holds(const json& value, const std::int64_t*) { return value.is_number_integer(); }
bool holds(const json& value, const double*) { return value.is_number(); }
bool holds(const json& value, const std::string*) { return value.is_string(); }

}  // namespace

ConfigJson::ConfigJson(const Component& component) : place_(component.place) {
  if (component.config.empty())
    throw WeightError(str(place_, ": no config file; expected diffusers' folder layout"));
  json root = json::parse(component.config, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object())
    throw WeightError(str(place_, ": the config is not a JSON object; fetch the file again"));
  document_ = std::make_unique<const Document>(Document{std::move(root)});
}

ConfigJson::~ConfigJson() = default;

bool ConfigJson::has(const std::string& key) const { return document_->find(key) != nullptr; }

void ConfigJson::refuse(const std::string& key, const std::string& expected) const {
  const json* value = document_->find(key);
  const std::string got = value == nullptr ? "absent" : value->dump();
  throw WeightError(str(place_, ": config '", key, "' is ", got.substr(0, 80), ": ", expected));
}

bool ConfigJson::is_null(const std::string& key) const {
  const auto found = document_->root.find(key);
  return found != document_->root.end() && found->is_null();
}

bool ConfigJson::is_flag(const std::string& key) const {
  const json* value = document_->find(key);
  return value != nullptr && value->is_boolean();
}

bool ConfigJson::flag(const std::string& key, bool fallback) const {
  const json* value = document_->find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) refuse(key, "expected true or false");
  return value->get<bool>();
}

std::int64_t ConfigJson::whole(const std::string& key) const {
  const json* value = document_->find(key);
  if (value == nullptr || !value->is_number_integer()) refuse(key, "expected a whole number");
  return value->get<std::int64_t>();
}

std::int64_t ConfigJson::whole(const std::string& key, std::int64_t fallback) const {
  return has(key) ? whole(key) : fallback;
}

double ConfigJson::number(const std::string& key, double fallback) const {
  const json* value = document_->find(key);
  if (value == nullptr) return fallback;
  if (!value->is_number()) refuse(key, "expected a number");
  return value->get<double>();
}

std::string ConfigJson::text(const std::string& key, const std::string& fallback) const {
  const json* value = document_->find(key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) refuse(key, "expected a string");
  return value->get<std::string>();
}

namespace {

template <class T>
std::optional<std::vector<T>> list_of(const json* value) {
  if (value == nullptr || !value->is_array()) return std::nullopt;
  std::vector<T> list;
  for (const json& item : *value) {
    if (!holds(item, static_cast<const T*>(nullptr))) return std::nullopt;
    list.push_back(item.get<T>());
  }
  return list;
}

}  // namespace

std::vector<std::string> ConfigJson::texts(const std::string& key) const {
  auto list = list_of<std::string>(document_->find(key));
  if (!list) refuse(key, "expected a list of strings");
  return *list;
}

std::vector<std::int64_t> ConfigJson::wholes(const std::string& key) const {
  auto list = list_of<std::int64_t>(document_->find(key));
  if (!list) refuse(key, "expected a list of whole numbers");
  return *list;
}

std::vector<double> ConfigJson::numbers(const std::string& key) const {
  auto list = list_of<double>(document_->find(key));
  if (!list) refuse(key, "expected a list of numbers");
  return *list;
}

std::vector<std::int64_t> ConfigJson::per_level(const std::string& key, std::size_t levels,
                                                std::int64_t fallback) const {
  const json* value = document_->find(key);
  if (value == nullptr || value->is_number_integer())
    return std::vector<std::int64_t>(levels, whole(key, fallback));
  std::vector<std::int64_t> list = wholes(key);
  if (list.size() != levels) refuse(key, str("expected ", levels, " numbers, one a level"));
  return list;
}

std::vector<bool> ConfigJson::flags_per_level(const std::string& key, std::size_t levels,
                                              bool fallback) const {
  const json* value = document_->find(key);
  if (value == nullptr || value->is_boolean())
    return std::vector<bool>(levels, flag(key, fallback));
  const auto list = list_of<bool>(value);
  if (!list || list->size() != levels)
    refuse(key, str("expected true, false, or ", levels, " of them, one a level"));
  return *list;
}

}  // namespace emulsion::models

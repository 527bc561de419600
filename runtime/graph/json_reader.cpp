#include "graph/json_reader.h"

#include <algorithm>
#include <set>

#include "graph/near_names.h"

namespace emulsion {
namespace {

// Follows the parser through the text, since a parsed document no longer has keys twice.
class KeyWatch {
 public:
  KeyWatch(const std::string& file, Faults& faults) : file_(file), faults_(faults) {}

  void see(Json::parse_event_t event, const Json& parsed) {
    switch (event) {
      case Json::parse_event_t::object_start:
      case Json::parse_event_t::array_start: enter(); break;
      case Json::parse_event_t::object_end:
      case Json::parse_event_t::array_end: levels_.pop_back(); break;
      case Json::parse_event_t::key: key(parsed.get<std::string>()); break;
      case Json::parse_event_t::value: break;
    }
  }

 private:
  struct Level {
    std::set<std::string> keys;
    std::string key;  // the latest; empty in arrays
  };

  void enter() {
    constexpr std::size_t kDeepest = 64;
    if (levels_.size() == kDeepest)
      throw GraphError(str(file_, ": nesting: expected at most ", kDeepest, " levels, got more"));
    levels_.emplace_back();
  }

  void key(const std::string& name) {
    levels_.back().key = name;
    if (levels_.back().keys.insert(name).second) return;
    std::string path;
    for (const Level& level : levels_) path = below(path, level.key);
    const std::size_t depth = levels_.size();
    if (depth >= 3 && levels_[depth - 2].key == "in")
      faults_.add(path, "node ", quote(levels_[depth - 3].key), ": input ", quote(name),
                  " is connected twice: expected one connection; remove one");
    else
      faults_.add(path, "key ", quote(name), " is there twice: expected once; remove one");
  }

  const std::string& file_;
  Faults& faults_;
  std::vector<Level> levels_;
};

// "[json.exception.parse_error.101] parse error at line 1, column 2: what" -> "what"
std::string what_of(const Json::exception& error) {
  const std::string text = error.what();
  const std::string_view marker = text.find("parse error at") != std::string::npos ? ": " : "] ";
  const std::string what = text.substr(text.find(marker) + 2);
  return is_utf8(what) ? what : what.substr(0, what.find("; last read"));
}

[[noreturn]] void throw_not_json(const std::string& file, std::string_view text,
                                 const Json::parse_error& error) {
  const std::size_t at = std::min(text.size(), error.byte > 0 ? error.byte - 1 : 0);
  const std::string_view before = text.substr(0, at);
  const auto line = 1 + std::ranges::count(before, '\n');
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  throw GraphError(
      str(file, ": line ", line, ", column ", at - line_start + 1, ": not JSON: ", what_of(error)));
}

}  // namespace

Json parse_json(std::string_view text, const std::string& file, Faults& faults) {
  KeyWatch watch(file, faults);
  const auto see = [&](int, Json::parse_event_t event, const Json& parsed) {
    watch.see(event, parsed);
    return true;
  };
  try {
    return Json::parse(text, see);
  } catch (const Json::parse_error& error) {
    throw_not_json(file, text, error);
  } catch (const Json::exception& error) {  // a number that no double can hold
    throw GraphError(str(file, ": ", what_of(error), ": expected numbers of 64 bits"));
  }
}

std::string below(const std::string& path, std::string_view key) {
  std::string text = path + "/";
  for (const char c : key) {
    if (c == '~')
      text += "~0";
    else if (c == '/')
      text += "~1";
    else
      text += static_cast<unsigned char>(c) < ' ' ? '?' : c;
  }
  return text;
}

std::string_view kind_text(const Json& json) {
  switch (json.type()) {
    case Json::value_t::null: return "null";
    case Json::value_t::object: return "an object";
    case Json::value_t::array: return "an array";
    case Json::value_t::string: return "a string";
    case Json::value_t::boolean: return "a bool";
    case Json::value_t::number_float: return "a number with a fraction";
    default: return "a whole number";
  }
}

std::optional<Param> literal_in(const Json& json) {
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_number_float()) return json.get<double>();
  if (!json.is_number_integer()) return std::nullopt;
  constexpr auto kMost = static_cast<std::uint64_t>(INT64_MAX);
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > kMost)
    return static_cast<double>(json.get<std::uint64_t>());
  return json.get<std::int64_t>();
}

bool is_name(std::string_view text) {
  constexpr std::size_t kLongest = 64;
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  if (text.empty() || text.size() > kLongest || !is_letter(text.front())) return false;
  return std::ranges::all_of(
      text, [&](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '-'; });
}

void for_each_named(const Json& object, const std::string& path, Faults& faults,
                    const std::function<void(const std::string& name, const Json& json,
                                             const std::string& path)>& visit) {
  if (!object.is_object()) {
    faults.add(path, "expected an object, got ", kind_text(object));
    return;
  }
  for (const auto& [name, json] : object.items()) {
    if (is_name(name))
      visit(name, json, below(path, name));
    else
      faults.add(below(path, name), "expected a name of 1 to 64 letters, digits, '_' and '-' that ",
                 "starts with a letter, got ", quote(name));
  }
}

ObjectReader::ObjectReader(const Json& json, std::string path, Faults& faults)
    : path_(std::move(path)), faults_(faults) {
  if (json.is_object())
    object_ = &json;
  else
    faults_.add(path_, "expected an object, got ", kind_text(json));
}

const Json* ObjectReader::find(const std::string& key) {
  asked_.push_back(key);
  if (object_ == nullptr) return nullptr;
  const auto found = object_->find(key);
  return found == object_->end() ? nullptr : &*found;
}

const Json* ObjectReader::required(const std::string& key) {
  const Json* json = find(key);
  if (json == nullptr && object_ != nullptr)
    faults_.add(path_of(key), "is missing; add the key '", key, "'");
  return json;
}

void ObjectReader::wrong_kind(const std::string& key, std::string_view expected, const Json& got) {
  faults_.add(path_of(key), "expected ", expected, ", got ", kind_text(got));
}

std::string ObjectReader::text(const std::string& key) {
  const Json* json = find(key);
  if (json == nullptr) return {};
  if (json->is_string()) return json->get<std::string>();
  wrong_kind(key, "a string", *json);
  return {};
}

std::string ObjectReader::required_text(const std::string& key) {
  if (object_ != nullptr && !object_->contains(key)) required(key);
  return text(key);
}

bool ObjectReader::flag(const std::string& key) {
  const Json* json = find(key);
  if (json == nullptr) return false;
  if (json->is_boolean()) return json->get<bool>();
  wrong_kind(key, "a bool", *json);
  return false;
}

std::optional<double> ObjectReader::number(const std::string& key) {
  const Json* json = find(key);
  if (json == nullptr) return std::nullopt;
  if (json->is_number()) return json->get<double>();
  wrong_kind(key, "a number", *json);
  return std::nullopt;
}

std::optional<std::int64_t> ObjectReader::whole(const std::string& key) {
  const Json* json = find(key);
  if (json == nullptr) return std::nullopt;
  const std::optional<Param> value = literal_in(*json);
  if (value && std::holds_alternative<std::int64_t>(*value)) return std::get<std::int64_t>(*value);
  wrong_kind(key, "a whole number", *json);
  return std::nullopt;
}

std::vector<std::string> ObjectReader::texts(const std::string& key) {
  const Json* json = find(key);
  std::vector<std::string> found;
  if (json == nullptr) return found;
  const auto is_text = [](const Json& item) { return item.is_string(); };
  if (!json->is_array() || !std::ranges::all_of(*json, is_text)) {
    wrong_kind(key, "an array of strings", *json);
    return found;
  }
  for (const Json& item : *json) found.push_back(item.get<std::string>());
  return found;
}

void ObjectReader::refuse_other_keys() {
  if (object_ == nullptr) return;
  std::ranges::sort(asked_);
  asked_.erase(std::unique(asked_.begin(), asked_.end()), asked_.end());
  for (const auto& [key, json] : object_->items())
    if (std::ranges::find(asked_, key) == asked_.end())
      faults_.add(path_of(key), "unknown key", expected_one_of(asked_, key));
}

}  // namespace emulsion

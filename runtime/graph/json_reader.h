#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emulsion/params.h"
#include "graph/faults.h"

namespace emulsion {

using Json = nlohmann::ordered_json;  // members in the document's order

// Throws GraphError on text that is not JSON and on nesting deeper than 64 levels; keys that are
// there twice become faults.
Json parse_json(std::string_view text, const std::string& file, Faults& faults);

// "/nodes" and "a/b" -> "/nodes/a~1b" (RFC 6901).
std::string below(const std::string& path, std::string_view key);

// "an object", "a string", "a whole number", …
std::string_view kind_text(const Json& json);

// The finite number of 64 bits as a Param, the flag or the string; else nothing.
std::optional<Param> literal_in(const Json& json);

// Letters, digits, '_' and '-', starting with a letter or '_', at most 64.
bool is_name(std::string_view text);

// Calls `visit` with each member of an object whose name is_name(); anything else is a fault.
void for_each_named(const Json& object, const std::string& path, Faults& faults,
                    const std::function<void(const std::string& name, const Json& json,
                                             const std::string& path)>& visit);

// Reads the members of one object, then names the keys that nobody asked for.  A member of a wrong
// kind is a fault, and reads as absent.  What is no object is a fault, and reads as empty.
class ObjectReader {
 public:
  ObjectReader(const Json& json, std::string path, Faults& faults);

  const std::string& path() const { return path_; }
  std::string path_of(std::string_view key) const { return below(path_, key); }
  bool is_object() const { return object_ != nullptr; }

  const Json* find(const std::string& key);
  const Json* required(const std::string& key);
  std::string text(const std::string& key);
  std::string required_text(const std::string& key);
  bool flag(const std::string& key);
  std::optional<double> number(const std::string& key);
  std::optional<std::int64_t> whole(const std::string& key);
  std::vector<std::string> texts(const std::string& key);

  void refuse_other_keys();

 private:
  void wrong_kind(const std::string& key, std::string_view expected, const Json& got);

  const Json* object_ = nullptr;
  std::string path_;
  Faults& faults_;
  std::vector<std::string> asked_;
};

}  // namespace emulsion

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "emulsion/weights.h"

namespace emulsion::models {

// Reads one config file of a model.  A key that is absent or null has its default, since configs
// of every age lack some; a key of another kind throws WeightError naming file and key.
// [any thread]
class ConfigJson {
 public:
  // Throws WeightError when the component has no config, or one that is no JSON object.
  explicit ConfigJson(const Component& component);
  ~ConfigJson();

  bool has(const std::string& key) const;      // there, and not null
  bool is_null(const std::string& key) const;  // written out as null
  bool is_flag(const std::string& key) const;  // true or false
  bool flag(const std::string& key, bool fallback) const;
  std::int64_t whole(const std::string& key, std::int64_t fallback) const;
  std::int64_t whole(const std::string& key) const;  // required
  double number(const std::string& key, double fallback) const;
  std::string text(const std::string& key, const std::string& fallback) const;
  std::vector<std::string> texts(const std::string& key) const;    // required
  std::vector<std::int64_t> wholes(const std::string& key) const;  // required
  std::vector<double> numbers(const std::string& key) const;       // required
  // One number for every level, or a list of `levels` numbers.
  std::vector<std::int64_t> per_level(const std::string& key, std::size_t levels,
                                      std::int64_t fallback) const;

  // One flag for every level, or a list of `levels` flags.
  std::vector<bool> flags_per_level(const std::string& key, std::size_t levels,
                                    bool fallback) const;

  // Throws WeightError: "<place>: 'key' is <value>: <expected>".
  [[noreturn]] void refuse(const std::string& key, const std::string& expected) const;

 private:
  struct Document;
  std::unique_ptr<const Document> document_;
  std::string place_;
};

}  // namespace emulsion::models

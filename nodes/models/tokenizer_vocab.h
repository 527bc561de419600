#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <unordered_map>

namespace emulsion::models {

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};
using Vocabulary = std::unordered_map<std::string, std::int64_t, TextHash, std::equal_to<>>;

// Reads {"token": id, …}.  Throws WeightError, which begins with `place`, when it is something else
// or two tokens have one id.  [any thread]
Vocabulary parse_vocabulary(const std::string& place, const std::string& text);
Vocabulary read_vocabulary(const std::string& place, const nlohmann::json& entries);

// "a b", a line each, of a list of "a b" or ["a", "b"].  Throws WeightError.  [any thread]
std::string merge_lines(const std::string& place, const nlohmann::json& merges);

// Calls with both parts of each line "a b", after a line "#version: …" that may be absent.
// Throws WeightError.  [any thread]
void for_each_merge(const std::string& place, std::string_view lines,
                    const std::function<void(std::string_view, std::string_view)>& merge);

}  // namespace emulsion::models

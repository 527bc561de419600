#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace emulsion {

// The end of a message about a name that is not there: ": expected one of steps, seed, got 'stpes';
// did you mean 'steps'?".  A list of more than a dozen is left out where a name is near; without
// candidates: ": expected none, got 'stpes'".  [any thread]
std::string expected_one_of(const std::vector<std::string>& candidates, std::string_view got);

// What a user wrote, for a message: in single quotes, one line, cut after 60 bytes, always valid
// UTF-8.  [any thread]
std::string quote(std::string_view text);

// [any thread]
bool is_utf8(std::string_view text);

// "a, b, c".  [any thread]
std::string joined(const std::vector<std::string>& names, std::string_view separator = ", ");

}  // namespace emulsion

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace emulsion::models {

enum class CharClass : std::uint8_t { Space, Letter, Number, Other };

// The class of a code point in the split pattern of CLIP: White_Space, general categories L and N.
// [any thread]
CharClass char_class(char32_t code);

// The code point at `at`, which is moved behind it.  Throws GraphError naming the byte offset where
// the text is not UTF-8.  [any thread]
char32_t next_code(std::string_view text, std::size_t& at);

// Throws GraphError as next_code does, for the whole text.  [any thread]
void check_utf8(std::string_view text);

// What CLIP's tokenizer reads: Unicode form C, runs of white space as one space, then lower case,
// character by character.  Throws GraphError where the text is not UTF-8.  [any thread]
std::string normalized(std::string_view text);

}  // namespace emulsion::models

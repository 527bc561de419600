#include "models/tokenizer_unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <vector>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "models/tokenizer_unicode_tables.h"

namespace emulsion::models {

namespace {

template <class Ranges>
bool contains(const Ranges& ranges, char32_t code) {
  return std::ranges::any_of(
      ranges, [code](const CodeRange& r) { return code >= r.first && code <= r.last; });
}

bool is_white_space(char32_t code) {
  return (code >= 0x09 && code <= 0x0D) || code == 0x20 || code == 0x85 || code == 0xA0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
         code == 0x202F || code == 0x205F || code == 0x3000;
}

char32_t lowered(char32_t code) {
  for (const Lowering& entry : kNewCapitals)
    if (code >= entry.capitals.first && code <= entry.capitals.last)
      return static_cast<char32_t>(static_cast<std::int32_t>(code) + entry.distance);
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code)));
}

void append(std::string& text, char32_t code) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(size));
}

using Codes = std::vector<utf8proc_int32_t>;

void append_composed(std::string_view text, Codes& result) {
  constexpr auto kFormC = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto size = static_cast<utf8proc_ssize_t>(text.size());
  const utf8proc_ssize_t room = utf8proc_decompose(bytes, size, nullptr, 0, kFormC);
  Codes codes(static_cast<std::size_t>(std::max<utf8proc_ssize_t>(room, 0)));
  const utf8proc_ssize_t count = utf8proc_decompose(bytes, size, codes.data(), room, kFormC);
  if (room < 0 || count < 0)
    throw GraphError(str("the text cannot be normalised: ", utf8proc_errmsg(std::min(room, count)),
                         "; shorten it"));
  const utf8proc_ssize_t left = utf8proc_normalize_utf32(codes.data(), count, kFormC);
  result.insert(result.end(), codes.begin(), codes.begin() + left);
}

Codes composed(std::string_view text) {
  Codes result;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t before = at;
    const char32_t code = next_code(text, at);
    if (code < kYoungMarks.front().first || !contains(kYoungMarks, code)) continue;
    append_composed(text.substr(begin, before - begin), result);
    result.push_back(static_cast<utf8proc_int32_t>(code));
    begin = at;
  }
  append_composed(text.substr(begin), result);
  return result;
}

}  // namespace

CharClass char_class(char32_t code) {
  if (is_white_space(code)) return CharClass::Space;
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO)
    return CharClass::Letter;
  if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO)
    return CharClass::Number;
  if (code < kNewLetters.front().first) return CharClass::Other;
  if (contains(kNewLetters, code)) return CharClass::Letter;
  return contains(kNewNumbers, code) ? CharClass::Number : CharClass::Other;
}

char32_t next_code(std::string_view text, std::size_t& at) {
  utf8proc_int32_t code = 0;
  const auto size = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                                     static_cast<utf8proc_ssize_t>(text.size() - at), &code);
  if (size <= 0) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(text[at]);
    throw GraphError(str("the text is not UTF-8: got byte 0x", kDigits[byte >> 4U],
                         kDigits[byte & 15U], " at offset ", at, "; save it as UTF-8"));
  }
  at += static_cast<std::size_t>(size);
  return static_cast<char32_t>(code);
}

void check_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) next_code(text, at);
}

std::string normalized(std::string_view text) {
  constexpr char32_t kDottedCapitalI = 0x130;  // the one capital that becomes two characters
  constexpr char32_t kDotAbove = 0x307;
  std::string result;
  result.reserve(text.size());
  bool after_space = false;
  for (const utf8proc_int32_t signed_code : composed(text)) {
    const auto code = static_cast<char32_t>(signed_code);
    const bool space = is_white_space(code);
    if (space && after_space) continue;
    after_space = space;
    if (code == kDottedCapitalI) {
      append(result, U'i');
      append(result, kDotAbove);
    } else {
      append(result, space ? U' ' : lowered(code));
    }
  }
  return result;
}

}  // namespace emulsion::models

#include "models/tokenizer_unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <vector>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion::models {

namespace {

struct Range {
  char32_t first, last;
};

// Letters and numbers of Unicode 15.1 and 16, which transformers' tokenizer knows and the utf8proc
// of a stable distribution (Unicode 15.0) does not.
constexpr std::array kNewLetters{
    Range{0x1C89, 0x1C8A},   Range{0xA7CB, 0xA7CD},   Range{0xA7DA, 0xA7DC},
    Range{0x105C0, 0x105F3}, Range{0x10D4A, 0x10D65}, Range{0x10D6F, 0x10D85},
    Range{0x10EC2, 0x10EC4}, Range{0x11380, 0x11389}, Range{0x1138B, 0x1138B},
    Range{0x1138E, 0x1138E}, Range{0x11390, 0x113B5}, Range{0x113B7, 0x113B7},
    Range{0x113D1, 0x113D1}, Range{0x113D3, 0x113D3}, Range{0x11BC0, 0x11BE0},
    Range{0x13460, 0x143FA}, Range{0x16100, 0x1611D}, Range{0x16D40, 0x16D6C},
    Range{0x18CFF, 0x18CFF}, Range{0x1E5D0, 0x1E5ED}, Range{0x1E5F0, 0x1E5F0},
    Range{0x2EBF0, 0x2EE5D}};
constexpr std::array kNewNumbers{Range{0x10D40, 0x10D49}, Range{0x116D0, 0x116E3},
                                 Range{0x11BF0, 0x11BF9}, Range{0x16130, 0x16139},
                                 Range{0x16D70, 0x16D79}, Range{0x1CCF0, 0x1CCF9},
                                 Range{0x1E5F1, 0x1E5FA}};

// Capital letters of Unicode 16 and 17, and how far away their small ones are.
struct Lowering {
  Range capitals;
  std::int32_t distance;
};
constexpr std::array kNewCapitals{
    Lowering{{0x1C89, 0x1C89}, 1},    Lowering{{0xA7CB, 0xA7CB}, -42343},
    Lowering{{0xA7CC, 0xA7CC}, 1},    Lowering{{0xA7CE, 0xA7CE}, 1},
    Lowering{{0xA7D2, 0xA7D2}, 1},    Lowering{{0xA7D4, 0xA7D4}, 1},
    Lowering{{0xA7DA, 0xA7DA}, 1},    Lowering{{0xA7DC, 0xA7DC}, -42561},
    Lowering{{0x10D50, 0x10D65}, 32}, Lowering{{0x16EA0, 0x16EB8}, 27},
};

template <class Ranges>
bool contains(const Ranges& ranges, char32_t code) {
  return std::ranges::any_of(ranges,
                             [code](const Range& r) { return code >= r.first && code <= r.last; });
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

std::vector<utf8proc_int32_t> composed(std::string_view text) {
  constexpr auto kFormC = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto size = static_cast<utf8proc_ssize_t>(text.size());
  const utf8proc_ssize_t room = utf8proc_decompose(bytes, size, nullptr, 0, kFormC);
  std::vector<utf8proc_int32_t> codes(
      static_cast<std::size_t>(std::max<utf8proc_ssize_t>(room, 0)));
  const utf8proc_ssize_t count = utf8proc_decompose(bytes, size, codes.data(), room, kFormC);
  if (room < 0 || count < 0)
    throw GraphError(str("the text cannot be normalised: ", utf8proc_errmsg(std::min(room, count)),
                         "; shorten it"));
  codes.resize(static_cast<std::size_t>(utf8proc_normalize_utf32(codes.data(), count, kFormC)));
  return codes;
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

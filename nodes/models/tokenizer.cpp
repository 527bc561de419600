#include "models/tokenizer.h"

#include <algorithm>
#include <array>
#include <queue>
#include <tuple>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "models/tokenizer_unicode.h"

namespace emulsion::models {

namespace {

constexpr std::string_view kWordEnd = "</w>";

std::uint64_t pair_key(std::int64_t left, std::int64_t right) {
  return (static_cast<std::uint64_t>(left) << 32U) | static_cast<std::uint64_t>(right);
}

// GPT-2's printable stand-ins for bytes (bytes_to_unicode): the visible characters of Latin-1 stand
// for themselves, and the rest for U+0100 and up, in order.
std::array<std::string, 256> byte_texts() {
  std::array<std::string, 256> texts;
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool visible = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    const unsigned code = visible ? byte : next++;
    if (code < 0x80) {
      texts[byte] = static_cast<char>(code);
    } else {
      texts[byte] = {static_cast<char>(0xC0U | (code >> 6U)),
                     static_cast<char>(0x80U | (code & 0x3FU))};
    }
  }
  return texts;
}

// "endoftext" where the text begins with "<|endoftext|>", and likewise "startoftext"; else empty.
std::string_view reserved_name(std::string_view text) {
  for (const std::string_view name : {"startoftext", "endoftext"})
    if (text.starts_with("<|") && text.substr(2).starts_with(name) &&
        text.substr(2 + name.size()).starts_with("|>"))
      return name;
  return {};
}

// The end of a contraction's ending ('s 't 're 've 'm 'll 'd) at `at`, or `at`.
std::size_t contraction_end(std::string_view text, std::size_t at) {
  for (const std::string_view ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
    if (text.substr(at).starts_with(ending)) return at + ending.size();
  return at;
}

// The end of the run of characters of one class that begins at `at`.
std::size_t run_end(std::string_view text, std::size_t at, CharClass wanted) {
  std::size_t end = at;
  while (at < text.size() && char_class(next_code(text, at)) == wanted) end = at;
  return end;
}

}  // namespace

struct Tokenizer::Match {
  std::size_t begin, end;
  const AddedToken* token;  // null where there is none
};

Tokenizer::Tokenizer(const Component& component) {
  const TokenizerFiles files = read_tokenizer_files(component);
  place_ = files.place;
  max_length_ = files.max_length;
  added_ = files.added;
  for (AddedToken& token : added_)
    if (token.normalized) token.content = normalized(token.content);

  const auto id_of = [&](const std::string& token) {
    const auto found = files.vocabulary.find(token);
    if (found != files.vocabulary.end()) return found->second;
    const auto added = std::ranges::find(files.added, token, &AddedToken::content);
    if (added == files.added.end())
      throw WeightError(str(place_, ": special token '", token,
                            "' is not in the vocabulary; fetch the tokenizer's files again"));
    return added->id;
  };
  bos_ = id_of(files.bos);
  eos_ = id_of(files.eos);
  pad_ = id_of(files.pad);
  const std::int64_t unknown = id_of(files.unknown);
  for (const std::string& text : byte_texts()) {
    const auto inside = files.vocabulary.find(text);
    const auto last = files.vocabulary.find(str(text, kWordEnd));
    byte_ids_.push_back(inside == files.vocabulary.end() ? unknown : inside->second);
    last_byte_ids_.push_back(last == files.vocabulary.end() ? unknown : last->second);
  }
  read_merges(files);
}

void Tokenizer::read_merges(const TokenizerFiles& files) {
  merges_.reserve(static_cast<std::size_t>(std::ranges::count(files.merges, '\n')));
  std::string joined;
  std::size_t rank = 0;
  for_each_merge(
      files.merges_place, files.merges, [&](std::string_view left, std::string_view right) {
        const auto find = [&](std::string_view token) {
          const auto found = files.vocabulary.find(token);
          if (found == files.vocabulary.end())
            throw WeightError(str(files.merges_place, ": merge '", left, " ", right,
                                  "' needs the token '", token,
                                  "', which is not in the vocabulary; fetch the files again"));
          return found->second;
        };
        joined.assign(left).append(right);
        const std::int64_t left_id = find(left), right_id = find(right);
        merges_.insert_or_assign(pair_key(left_id, right_id), Merge{rank++, find(joined)});
      });
}

Tokenizer::Match Tokenizer::find_added(std::string_view text, std::size_t from,
                                       bool normalized_ones) const {
  Match best{text.size(), text.size(), nullptr};  // leftmost, then longest
  for (const AddedToken& token : added_) {
    if (token.normalized != normalized_ones) continue;
    const std::size_t at = text.find(token.content, from);
    if (at == std::string_view::npos || at > best.begin) continue;
    const std::size_t end = at + token.content.size();
    if (at < best.begin || end > best.end) best = {at, end, &token};
  }
  return best;
}

std::vector<std::int64_t> Tokenizer::encode(std::string_view text) const {
  check_utf8(text);
  std::vector<std::int64_t> ids;
  for (std::size_t at = 0; at < text.size();) {
    const Match match = find_added(text, at, /*normalized_ones=*/false);
    encode_normalized(normalized(text.substr(at, match.begin - at)), ids);
    if (match.token != nullptr) ids.push_back(match.token->id);
    at = match.end;
  }
  return ids;
}

void Tokenizer::encode_normalized(std::string_view text, std::vector<std::int64_t>& ids) const {
  for (std::size_t at = 0; at < text.size();) {
    const Match match = find_added(text, at, /*normalized_ones=*/true);
    encode_words(text.substr(at, match.begin - at), ids);
    if (match.token != nullptr) ids.push_back(match.token->id);
    at = match.end;
  }
}

// Splits as the pattern of CLIPTokenizer, then as that of its ByteLevel step, which takes the two
// literal names apart again:
// <\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
void Tokenizer::encode_words(std::string_view text, std::vector<std::int64_t>& ids) const {
  for (std::size_t at = 0; at < text.size();) {
    if (const std::string_view name = reserved_name(text.substr(at)); !name.empty()) {
      for (const std::string_view piece : {std::string_view("<|"), name, std::string_view("|>")}) {
        encode_word(piece, ids);
        at += piece.size();
      }
      continue;
    }
    std::size_t end = contraction_end(text, at);
    if (end == at) {
      std::size_t behind = at;
      const CharClass found = char_class(next_code(text, behind));
      const bool alone = found == CharClass::Number || found == CharClass::Space;
      end = alone ? behind : run_end(text, at, found);
      if (found == CharClass::Space) {
        at = end;
        continue;
      }
    }
    encode_word(text.substr(at, end - at), ids);
    at = end;
  }
}

const Tokenizer::Merge* Tokenizer::find_merge(std::int64_t left, std::int64_t right) const {
  const auto found = merges_.find(pair_key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

// One merge at a time: the one of the lowest rank, and of these the leftmost.
void Tokenizer::encode_word(std::string_view bytes, std::vector<std::int64_t>& ids) const {
  struct Symbol {
    std::int64_t id;
    std::size_t previous, next;  // positions in `symbols`; the size where there is none
    bool merged_away;
  };
  const std::size_t count = bytes.size();
  std::vector<Symbol> symbols(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto& table = i + 1 == count ? last_byte_ids_ : byte_ids_;
    symbols[i] = {table[static_cast<unsigned char>(bytes[i])], i == 0 ? count : i - 1, i + 1,
                  false};
  }
  using Candidate = std::tuple<std::size_t, std::size_t, std::int64_t>;  // rank, position, new id
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  const auto consider = [&](std::size_t i) {
    if (i >= count || symbols[i].next >= count) return;
    if (const Merge* merge = find_merge(symbols[i].id, symbols[symbols[i].next].id))
      candidates.emplace(merge->rank, i, merge->id);
  };
  for (std::size_t i = 0; i < count; ++i) consider(i);
  while (!candidates.empty()) {
    const auto [rank, i, id] = candidates.top();
    candidates.pop();
    const std::size_t right = symbols[i].next;
    if (symbols[i].merged_away || right >= count) continue;
    const Merge* merge = find_merge(symbols[i].id, symbols[right].id);
    if (merge == nullptr || merge->id != id) continue;  // one of the two has changed since
    symbols[i].id = id;
    symbols[i].next = symbols[right].next;
    symbols[right].merged_away = true;
    if (symbols[i].next < count) symbols[symbols[i].next].previous = i;
    consider(symbols[i].previous);
    consider(i);
  }
  for (std::size_t i = 0; i < count; i = symbols[i].next) ids.push_back(symbols[i].id);
}

}  // namespace emulsion::models

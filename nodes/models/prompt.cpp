#include "models/prompt.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "models/embeddings.h"
#include "models/tokenizer_unicode.h"

namespace emulsion::models {

namespace {

constexpr double kEmphasis = 1.1;
constexpr int kDeepest = 64;
constexpr std::size_t kLongWord = 8;  // tokens; ComfyUI's max_word_length

// Escaped parentheses while the others are read: bytes that UTF-8 does not have.
constexpr char kEscapedOpen = '\xFE', kEscapedClose = '\xFF';

std::string escaped(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (text[i] == '\\' && (next == '(' || next == ')')) {
      result += next == '(' ? kEscapedOpen : kEscapedClose;
      ++i;
    } else {
      result += text[i];
    }
  }
  return result;
}

std::string unescaped(std::string_view text) {
  std::string result(text);
  std::ranges::replace(result, kEscapedOpen, '(');
  std::ranges::replace(result, kEscapedClose, ')');
  return result;
}

// Cuts at the outermost parentheses, which stay on their parts.
std::vector<std::string_view> outer_parts(std::string_view text) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  std::int64_t depth = 0;
  const auto cut = [&](std::size_t end) {
    if (end > begin) parts.push_back(text.substr(begin, end - begin));
    begin = end;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '(' && depth++ == 0) cut(i);
    if (text[i] == ')' && --depth == 0) cut(i + 1);
  }
  cut(text.size());
  return parts;
}

std::optional<double> number_in(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\n");
  if (first == std::string_view::npos) return std::nullopt;
  text = text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && std::isfinite(value) ? std::optional(value) : std::nullopt;
}

void add_parts(std::string_view text, double weight, int depth, std::vector<WeightedText>& parts) {
  if (depth > kDeepest)
    throw GraphError(str("the prompt's parentheses nest deeper than ", kDeepest,
                         "; write a weight as (text:1.3), or a parenthesis as \\("));
  for (std::string_view part : outer_parts(text)) {
    if (part.size() < 2 || part.front() != '(' || part.back() != ')') {
      parts.push_back({unescaped(part), weight});
      continue;
    }
    part = part.substr(1, part.size() - 2);
    double inner = weight * kEmphasis;
    const std::size_t colon = part.rfind(':');
    if (colon != std::string_view::npos && colon > 0) {
      if (const auto number = number_in(part.substr(colon + 1))) {
        inner = *number;
        part = part.substr(0, colon);
      }
    }
    add_parts(part, inner, depth + 1, parts);
  }
}

// Words of a text: what white space separates.
std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t before = at;
    if (char_class(next_code(text, at)) != CharClass::Space) continue;
    if (before > begin) words.push_back(text.substr(begin, before - begin));
    begin = at;
  }
  if (begin < text.size()) words.push_back(text.substr(begin));
  return words;
}

// A word that names an embedding, and what stands before and behind it.
struct EmbeddingWord {
  std::string_view before, behind;
  std::string name;
  EmbeddingPlace place;
};

// Commas and the like belong to the text behind, unless a file's name has them.  Throws GraphError
// when there is no such embedding.
std::optional<EmbeddingWord> embedding_in(std::string_view word,
                                          const std::filesystem::path& folder) {
  const std::size_t begin = word.find(kEmbeddingWord);
  if (begin == std::string_view::npos) return std::nullopt;
  const std::string_view named = word.substr(begin + kEmbeddingWord.size());
  const std::size_t last = named.find_last_not_of(",.;:!?");
  const std::string_view plain = named.substr(0, last == std::string_view::npos ? 0 : last + 1);
  if (plain.empty()) return std::nullopt;
  for (const std::string_view name : {named, plain})
    if (auto place = find_embedding(folder, std::string(name)))
      return EmbeddingWord{word.substr(0, begin), named.substr(name.size()), std::string(name),
                           *std::move(place)};
  refuse_embedding(folder, std::string(plain));
}

// Fills chunks from the front; every one begins with the start and ends with the end token.
class ChunkWriter {
 public:
  ChunkWriter(const Tokenizer& tokenizer, PromptTokens& tokens)
      : tokenizer_(tokenizer), tokens_(tokens), room_(capacity()) {
    append(tokenizer_.bos(), 1);
  }

  // Gives the places of the tokens.
  std::vector<std::int64_t> add_word(const std::vector<std::int64_t>& ids, double weight) {
    if (ids.size() > room_ && ids.size() < std::min(kLongWord, capacity() + 1)) next_chunk();
    std::vector<std::int64_t> places;
    for (const std::int64_t id : ids) {
      if (room_ == 0) next_chunk();
      places.push_back(static_cast<std::int64_t>(tokens_.ids.size()));
      append(id, static_cast<float>(weight));
      --room_;
    }
    return places;
  }

  void finish() {
    append(tokenizer_.eos(), 1);
    for (; room_ > 0; --room_) append(tokenizer_.pad(), 1);
    ++tokens_.chunks;
  }

  std::size_t room() const { return room_; }

 private:
  std::size_t capacity() const { return static_cast<std::size_t>(tokenizer_.max_length()) - 2; }

  void append(std::int64_t id, float weight) {
    tokens_.ids.push_back(id);
    tokens_.weights.push_back(weight);
  }

  void next_chunk() {
    finish();
    room_ = capacity();
    append(tokenizer_.bos(), 1);
  }

  const Tokenizer& tokenizer_;
  PromptTokens& tokens_;
  std::size_t room_;  // tokens that the current chunk still takes
};

class PromptWriter {
 public:
  PromptWriter(const Tokenizer& tokenizer, const PromptOptions& options, PromptTokens& tokens)
      : tokenizer_(tokenizer), options_(options), tokens_(tokens), chunks_(tokenizer, tokens) {}

  void add(std::string_view word, double weight) {
    const std::optional<EmbeddingWord> named = embedding_in(word, options_.embeddings);
    if (!named) {
      add_ids(tokenizer_.encode(word), weight);
      return;
    }
    add_ids(tokenizer_.encode(named->before), weight);
    EmbeddingPlaces& embedding = tokens_.embeddings[named->name];
    embedding.length = embedding_length(named->place);
    const auto length = static_cast<std::size_t>(embedding.length);
    std::vector<std::int64_t> places = add_ids(std::vector<std::int64_t>(length), weight);
    places.resize(length, -1);
    embedding.places.insert(embedding.places.end(), places.begin(), places.end());
    if (!named->behind.empty()) add(named->behind, weight);
  }

  void finish() { chunks_.finish(); }

 private:
  std::vector<std::int64_t> add_ids(std::vector<std::int64_t> ids, double weight) {
    if (options_.cut) ids.resize(std::min(ids.size(), chunks_.room()));
    return chunks_.add_word(ids, weight);
  }

  const Tokenizer& tokenizer_;
  const PromptOptions& options_;
  PromptTokens& tokens_;
  ChunkWriter chunks_;
};

}  // namespace

std::vector<WeightedText> parse_emphasis(std::string_view prompt) {
  const std::string text = escaped(prompt);
  std::vector<WeightedText> parts;
  add_parts(text, 1, 0, parts);
  return parts;
}

PromptTokens tokenize_prompt(const Tokenizer& tokenizer, std::string_view prompt,
                             const PromptOptions& options) {
  check_utf8(prompt);
  const std::vector<WeightedText> parts = options.emphasis
                                              ? parse_emphasis(prompt)
                                              : std::vector<WeightedText>{{std::string(prompt), 1}};
  PromptTokens tokens;
  tokens.length = tokenizer.max_length();
  PromptWriter writer(tokenizer, options, tokens);
  for (const WeightedText& part : parts)
    for (const std::string_view word : words_of(part.text)) writer.add(word, part.weight);
  writer.finish();

  PromptTokens empty;
  ChunkWriter(tokenizer, empty).finish();
  tokens.empty = std::move(empty.ids);
  return tokens;
}

}  // namespace emulsion::models

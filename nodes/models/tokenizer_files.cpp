#include "models/tokenizer_files.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion::models {

using nlohmann::json;

namespace {

constexpr std::int64_t kUsualLength = 77, kLongestLength = 1 << 16;
constexpr std::int64_t kIds = std::int64_t{1} << 32;

std::string contents_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string contents{std::istreambuf_iterator<char>(file), {}};
  if (!file) throw WeightError(str(path.string(), ": cannot be read; check its permissions"));
  return contents;
}

json object_in(const std::string& place, const std::string& text) {
  json root = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object())
    throw WeightError(str(place, ": expected a JSON object; fetch the file again"));
  return root;
}

// The file as JSON, or an empty object where it is absent.
json file_of(const Component& component, const std::string& name) {
  const auto found = component.files.find(name);
  if (found == component.files.end()) return json::object();
  return object_in(found->second.string(), contents_of(found->second));
}

// The entry, or null where there is none.
const json& member(const json& object, const char* key) {
  static const json none;
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found == object.end() ? none : *found;
}

bool flag(const json& object, const char* key, bool fallback) {
  const json& value = member(object, key);
  return value.is_boolean() ? value.get<bool>() : fallback;
}

[[noreturn]] void refuse_merge(const std::string& place, std::size_t line, const std::string& got) {
  throw WeightError(str(place, ": merge ", line, " is '", got.substr(0, 60),
                        "': expected two tokens; fetch the file again"));
}

Vocabulary vocabulary_in(const std::string& place, const json& entries) {
  if (!entries.is_object() || entries.empty())
    throw WeightError(str(place,
                          ": no vocabulary: expected an object of token: id; "
                          "fetch the file again"));
  Vocabulary vocabulary;
  vocabulary.reserve(entries.size());
  std::unordered_map<std::int64_t, const std::string*> token_of;
  token_of.reserve(entries.size());
  for (const auto& [token, id] : entries.items()) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() >= kIds)
      throw WeightError(str(place, ": token '", token, "' has the id ", id.dump().substr(0, 40),
                            ": expected a whole number; fetch the file again"));
    const auto entry = vocabulary.emplace(token, id.get<std::int64_t>()).first;
    const auto [other, is_new] = token_of.emplace(entry->second, &entry->first);
    if (!is_new)
      throw WeightError(str(place, ": tokens '", std::min(*other->second, token), "' and '",
                            std::max(*other->second, token), "' have one id, ", entry->second,
                            ": expected an id for each; fetch the file again"));
  }
  return vocabulary;
}

std::pair<std::string, std::string> split_merge(const std::string& place, std::size_t number,
                                                const std::string& merge) {
  const std::size_t space = merge.find(' ');
  if (space == 0 || space == std::string::npos || space + 1 == merge.size() ||
      merge.find(' ', space + 1) != std::string::npos)
    refuse_merge(place, number, merge);
  return {merge.substr(0, space), merge.substr(space + 1)};
}

// "a b" on each line, after a line "#version: …" that may be absent.
void read_merges_text(const std::string& place, const std::string& text, TokenizerFiles& files) {
  for (std::size_t at = 0, number = 1; at < text.size(); ++number) {
    std::size_t end = std::min(text.find('\n', at), text.size());
    const std::size_t next = end + 1;
    if (end > at && text[end - 1] == '\r') --end;
    const std::string line = text.substr(at, end - at);
    at = next;
    if (line.empty() || (number == 1 && line.starts_with("#version"))) continue;
    files.merges.push_back(split_merge(place, number, line));
  }
}

// "a b" or ["a", "b"] for each.
void read_merges_json(const std::string& place, const json& merges, TokenizerFiles& files) {
  if (!merges.is_array())
    throw WeightError(str(place, ": no 'merges': expected a list; fetch the file again"));
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const json& merge = merges[i];
    if (merge.is_string())
      files.merges.push_back(split_merge(place, i + 1, merge.get<std::string>()));
    else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
      files.merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
    else
      refuse_merge(place, i + 1, merge.dump());
  }
}

// A special token as a config writes it: its text alone, or an object.
struct Declared {
  std::string content;
  bool normalized = false;
  bool text_only = false;

  bool operator==(const Declared&) const = default;
};

std::optional<Declared> declared(const json& value) {
  if (value.is_string()) return Declared{value.get<std::string>(), false, true};
  const json& content = member(value, "content");
  if (!content.is_string()) return std::nullopt;
  const bool special = flag(value, "special", true);
  return Declared{content.get<std::string>(), flag(value, "normalized", !special), false};
}

// Tokens with their ids, from whichever file lists them.
std::map<std::int64_t, Declared> listed_tokens(const Component& component, const json& config,
                                               const json& tokenizer) {
  std::map<std::int64_t, Declared> listed;
  if (const json& decoder = member(config, "added_tokens_decoder"); decoder.is_object()) {
    for (const auto& [id, token] : decoder.items())
      if (const auto entry = declared(token)) listed[std::atoll(id.c_str())] = *entry;
    return listed;
  }
  for (const auto& [token, id] : file_of(component, "added_tokens.json").items())
    if (id.is_number_integer()) listed[id.get<std::int64_t>()] = Declared{token, true, false};
  for (const json& token : member(tokenizer, "added_tokens")) {
    const json& id = member(token, "id");
    const auto entry = declared(token);
    if (entry && id.is_number_integer()) listed[id.get<std::int64_t>()] = *entry;
  }
  return listed;
}

struct SpecialTokens {
  Declared bos{"<|startoftext|>", false, true}, eos{"<|endoftext|>", false, true};
  Declared unknown = eos, pad = eos;  // the defaults of CLIPTokenizer
};

SpecialTokens special_tokens(const json& config, const json& map,
                             const std::map<std::int64_t, Declared>& listed) {
  SpecialTokens special;
  const std::array<std::pair<const char*, Declared*>, 4> keys{{{"bos_token", &special.bos},
                                                               {"eos_token", &special.eos},
                                                               {"unk_token", &special.unknown},
                                                               {"pad_token", &special.pad}}};
  for (const auto& [key, token] : keys) {
    for (const json* source : {&config, &map})
      if (const auto entry = declared(member(*source, key))) *token = *entry;
    for (const auto& [id, other] : listed)
      if (other.content == token->content) *token = other;
  }
  return special;
}

// The order and the rule are transformers': a later entry of the same text wins, and one that is
// written in the same way as an earlier one is not looked at.
std::vector<Declared> tokens_to_add(const std::map<std::int64_t, Declared>& listed,
                                    const SpecialTokens& special) {
  std::vector<Declared> tokens;
  std::unordered_set<std::string> known;
  for (const auto& [id, token] : listed) {
    tokens.push_back(token);
    known.insert(token.content);
  }
  for (const Declared* token : {&special.bos, &special.eos, &special.unknown, &special.pad})
    if (!known.contains(token->content) && std::ranges::find(tokens, *token) == tokens.end())
      tokens.push_back(*token);
  return tokens;
}

void add_tokens(const std::vector<Declared>& tokens, TokenizerFiles& files) {
  auto next_id = static_cast<std::int64_t>(files.vocabulary.size());
  for (const Declared& token : tokens) {
    if (token.content.empty()) continue;
    const auto earlier = std::ranges::find(files.added, token.content, &AddedToken::content);
    if (earlier != files.added.end()) {
      earlier->normalized = token.normalized;
      continue;
    }
    const auto found = files.vocabulary.find(token.content);
    const std::int64_t id = found != files.vocabulary.end() ? found->second : next_id++;
    files.added.push_back({token.content, id, token.normalized});
  }
}

// Absent in some configs, and 1e30 ("unlimited") in others.
std::int64_t max_length_in(const std::string& place, const json& config) {
  const json& value = member(config, "model_max_length");
  if (!value.is_number() || value.get<double>() > kLongestLength) return kUsualLength;
  if (!value.is_number_integer() || value.get<std::int64_t>() < 3)
    throw WeightError(str(place, ": config 'model_max_length' is ", value.dump(),
                          ": expected a whole number of at least 3"));
  return value.get<std::int64_t>();
}

}  // namespace

TokenizerFiles read_tokenizer_files(const Component& component) {
  TokenizerFiles files;
  files.place = component.place;
  const json config =
      component.config.empty() ? json::object() : object_in(component.place, component.config);
  const json tokenizer = file_of(component, "tokenizer.json");
  if (!tokenizer.empty()) {
    const std::string place = component.files.at("tokenizer.json").string();
    const json& model = member(tokenizer, "model");
    files.vocabulary = vocabulary_in(place, member(model, "vocab"));
    read_merges_json(place, member(model, "merges"), files);
  } else {
    for (const char* name : {"vocab.json", "merges.txt"})
      if (!component.files.contains(name))
        throw WeightError(str(component.place, ": '", name,
                              "' is missing: expected vocab.json and "
                              "merges.txt, or tokenizer.json"));
    const std::string merges = component.files.at("merges.txt").string();
    files.vocabulary =
        vocabulary_in(component.files.at("vocab.json").string(), file_of(component, "vocab.json"));
    read_merges_text(merges, contents_of(merges), files);
  }
  const auto listed = listed_tokens(component, config, tokenizer);
  const json map = config.contains("added_tokens_decoder")
                       ? json::object()
                       : file_of(component, "special_tokens_map.json");
  const SpecialTokens special = special_tokens(config, map, listed);
  add_tokens(tokens_to_add(listed, special), files);
  files.bos = special.bos.content;
  files.eos = special.eos.content;
  files.unknown = special.unknown.content;
  files.pad = special.pad.content;
  files.max_length = max_length_in(component.place, config);
  return files;
}

}  // namespace emulsion::models

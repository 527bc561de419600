#include "models/tokenizer_files.h"

#include <algorithm>
#include <array>
#include <fstream>
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
  const json added = file_of(component, "added_tokens.json");
  for (const auto& [token, id] : added.items())
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
    files.merges_place = component.files.at("tokenizer.json").string();
    const json& model = member(tokenizer, "model");
    files.vocabulary = read_vocabulary(files.merges_place, member(model, "vocab"));
    files.merges = merge_lines(files.merges_place, member(model, "merges"));
  } else {
    for (const char* name : {"vocab.json", "merges.txt"})
      if (!component.files.contains(name))
        throw WeightError(str(component.place, ": '", name,
                              "' is missing: expected vocab.json and merges.txt, or "
                              "tokenizer.json"));
    const std::filesystem::path& vocabulary = component.files.at("vocab.json");
    files.vocabulary = parse_vocabulary(vocabulary.string(), contents_of(vocabulary));
    files.merges_place = component.files.at("merges.txt").string();
    files.merges = contents_of(files.merges_place);
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

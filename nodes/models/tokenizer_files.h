#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "emulsion/weights.h"
#include "models/tokenizer_vocab.h"

namespace emulsion::models {

// A token that is found in the text before words are split.
struct AddedToken {
  std::string content;
  std::int64_t id = 0;
  bool normalized = false;  // looked for in the normalised text: in any case of letters
};

// What the files of a tokenizer say.
struct TokenizerFiles {
  std::string place;
  Vocabulary vocabulary;
  std::string merges;        // "a b", a line each; the first is merged first
  std::string merges_place;  // the file, for messages
  std::vector<AddedToken> added;
  std::string bos, eos, unknown, pad;
  std::int64_t max_length = 77;
};

// Reads vocab.json and merges.txt, or tokenizer.json (preferred, as transformers does), and the
// names of the special tokens from tokenizer_config.json, special_tokens_map.json and
// added_tokens.json.  Throws WeightError.  [any thread]
TokenizerFiles read_tokenizer_files(const Component& component);

}  // namespace emulsion::models

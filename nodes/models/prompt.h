#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "models/tokenizer.h"

namespace emulsion::models {

struct WeightedText {
  std::string text;
  double weight = 1;
};

// The parts of a prompt: "(x)" weighs 1.1 times what is around it, "(x:1.3)" weighs 1.3, "\(" and
// "\)" are parentheses of the text, and so are unbalanced ones.  The rules are ComfyUI's.
// Throws GraphError when parentheses nest too deep.  [any thread]
std::vector<WeightedText> parse_emphasis(std::string_view prompt);

struct PromptOptions {
  bool emphasis = true;  // else the text is taken as it stands, with a weight of 1
  bool cut = false;      // to one chunk, as diffusers does; else into as many as it needs
  std::filesystem::path embeddings = {};  // the folder or file of "embedding:name"
};

// Where an embedding stands: a row of k places for each time that the prompt names it, counted
// through all chunks; -1 where the prompt was cut.
struct EmbeddingPlaces {
  std::int64_t length = 0;           // k
  std::vector<std::int64_t> places;  // [m, k]
};

// K chunks of L tokens, each with start and end, padded.
struct PromptTokens {
  std::int64_t chunks = 0, length = 0;
  std::vector<std::int64_t> ids;                      // [K, L]; 0 where an embedding stands
  std::vector<float> weights;                         // [K, L]
  std::vector<std::int64_t> empty;                    // [1, L]: those of an empty prompt
  std::map<std::string, EmbeddingPlaces> embeddings;  // by name
};

// A word, or an embedding, of fewer than eight tokens stays in one chunk.  Throws GraphError when
// the prompt is not UTF-8, nests too deep, or names an embedding that is not there.  [any thread]
PromptTokens tokenize_prompt(const Tokenizer& tokenizer, std::string_view prompt,
                             const PromptOptions& options);

}  // namespace emulsion::models

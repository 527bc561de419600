#pragma once

#include <cstdint>
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
};

// K chunks of L tokens, each with start and end, padded.
struct PromptTokens {
  std::int64_t chunks = 0, length = 0;
  std::vector<std::int64_t> ids;    // [K, L]
  std::vector<float> weights;       // [K, L]
  std::vector<std::int64_t> empty;  // [1, L]: those of an empty prompt
};

// A word of fewer than eight tokens stays in one chunk.  Throws GraphError when the prompt is not
// UTF-8 or nests too deep.  [any thread]
PromptTokens tokenize_prompt(const Tokenizer& tokenizer, std::string_view prompt,
                             const PromptOptions& options);

}  // namespace emulsion::models

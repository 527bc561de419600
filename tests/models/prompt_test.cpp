#include "models/prompt.h"

#include "check.h"

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "weights/weight_store.h"

namespace emulsion::models {
namespace {

const Tokenizer& tokenizer() {
  static const Tokenizer loaded(*open_component("reference/sd21_base_like", "tokenizer").component);
  return loaded;
}

// "a |1, cat|1.1"
std::string parts_of(const std::string& prompt) {
  std::string text;
  for (const WeightedText& part : parse_emphasis(prompt))
    text += str(text.empty() ? "" : ", ", part.text, "|", part.weight);
  return text;
}

std::string repeated(const std::string& word, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += word;
  return text;
}

}  // namespace

TEST_CASE("parentheses weigh as in ComfyUI") {
  CHECK(parts_of("") == "");
  CHECK(parts_of("a cat") == "a cat|1");
  CHECK(parts_of("a (cat) here") == "a |1, cat|1.1,  here|1");
  CHECK(parts_of("((cat))") == "cat|1.21");
  CHECK(parts_of("(cat:1.3)") == "cat|1.3");
  CHECK(parts_of("((cat:1.3))") == "cat|1.3");    // sets, whatever is around it
  CHECK(parts_of("((a) b:2)") == "a|2.2,  b|2");  // and is multiplied by what is in it
  CHECK(parts_of("(a:2:0.5)") == "a:2|0.5");      // the last colon counts
  CHECK(parts_of("(a: 1.5 )") == "a|1.5");
  CHECK(parts_of("(cat:-0.5)") == "cat|-0.5");
  CHECK(parts_of("(cat:+.5)") == "cat|0.5");
}

TEST_CASE("what is no number after a colon stays text") {
  CHECK(parts_of("(a: b)") == "a: b|1.1");
  CHECK(parts_of("(a:)") == "a:|1.1");
  CHECK(parts_of("(:1.3)") == ":1.3|1.1");
  CHECK(parts_of("(a:1.3x)") == "a:1.3x|1.1");
  CHECK(parts_of("(a:inf)") == "a:inf|1.1");
  CHECK(parts_of("a:1.3") == "a:1.3|1");
}

TEST_CASE("escaped parentheses and brackets are text") {
  CHECK(parts_of("a \\(cat\\)") == "a (cat)|1");
  CHECK(parts_of("(a \\(b\\):1.2)") == "a (b)|1.2");
  CHECK(parts_of("[a] \\n") == "[a] \\n|1");
}

TEST_CASE("unbalanced parentheses are text") {
  CHECK(parts_of("a (cat") == "a |1, (cat|1");
  CHECK(parts_of("a) cat") == "a) cat|1");
  CHECK(parts_of("a) (cat)") == "a) (cat)|1");
  CHECK(parts_of("((cat)") == "(cat|1.1");
  CHECK(parts_of("(") == "(|1");
  CHECK(parts_of("()") == "");
}

TEST_CASE("parentheses that nest without end are refused") {
  CHECK_THROWS_WITH_AS(parse_emphasis(repeated("(", 100'000) + repeated(")", 100'000)),
                       "the prompt's parentheses nest deeper than 64; write a weight as "
                       "(text:1.3), or a parenthesis as \\(",
                       GraphError);
}

TEST_CASE("a prompt is one chunk with start, end and padding") {
  const PromptTokens tokens = tokenize_prompt(tokenizer(), "a (large:1.5) red star", {});
  CHECK(tokens.chunks == 1);
  CHECK(tokens.length == 77);
  REQUIRE(tokens.ids.size() == 77);
  REQUIRE(tokens.weights.size() == 77);
  CHECK(std::vector(tokens.ids.begin(), tokens.ids.begin() + 8) ==
        std::vector<std::int64_t>{1432, 320, 544, 552, 579, 1433, 0, 0});
  CHECK(std::vector(tokens.weights.begin(), tokens.weights.begin() + 5) ==
        std::vector<float>{1, 1, 1.5F, 1, 1});
  CHECK(tokens.ids.back() == 0);
}

TEST_CASE("an empty prompt is start, end and padding") {
  const PromptTokens tokens = tokenize_prompt(tokenizer(), "", {});
  CHECK(tokens.chunks == 1);
  CHECK(tokens.ids == tokens.empty);
  CHECK(tokens.empty.size() == 77);
  CHECK(tokens.empty[0] == 1432);
  CHECK(tokens.empty[1] == 1433);
  CHECK(tokens.empty[2] == 0);
}

TEST_CASE("75 words are one chunk and 76 are two") {
  CHECK(tokenize_prompt(tokenizer(), repeated("star ", 75), {}).chunks == 1);
  const PromptTokens tokens = tokenize_prompt(tokenizer(), repeated("star ", 76), {});
  CHECK(tokens.chunks == 2);
  REQUIRE(tokens.ids.size() == 154);
  CHECK(tokens.ids[75] == 579);
  CHECK(tokens.ids[76] == 1433);
  CHECK(tokens.ids[77] == 1432);
  CHECK(tokens.ids[78] == 579);
  CHECK(tokens.ids[79] == 1433);
  CHECK(tokens.ids[80] == 0);
}

TEST_CASE("a word of fewer than eight tokens moves to the next chunk whole, a longer one is cut") {
  const std::string short_word = "1234567", long_word = "12345678";  // a token for each digit
  REQUIRE(tokenizer().encode(short_word).size() == 7);
  const PromptTokens whole = tokenize_prompt(tokenizer(), repeated("star ", 70) + short_word, {});
  CHECK(whole.chunks == 2);
  CHECK(whole.ids[71] == 1433);
  CHECK(whole.ids[72] == 0);
  CHECK(whole.ids[78] == tokenizer().encode("1")[0]);
  CHECK(whole.ids[77 + 8] == 1433);
  const PromptTokens cut = tokenize_prompt(tokenizer(), repeated("star ", 70) + long_word, {});
  CHECK(cut.chunks == 2);
  CHECK(cut.ids[71] == tokenizer().encode("1")[0]);
  CHECK(cut.ids[75] == tokenizer().encode("5")[0]);
  CHECK(cut.ids[76] == 1433);
  CHECK(cut.ids[78] == tokenizer().encode("6")[0]);
  CHECK(cut.ids[77 + 4] == 1433);
}

TEST_CASE("overflow cut keeps the first 75 tokens and the end") {
  const PromptTokens tokens =
      tokenize_prompt(tokenizer(), repeated("star ", 74) + "1234567 star", {.cut = true});
  CHECK(tokens.chunks == 1);
  REQUIRE(tokens.ids.size() == 77);
  CHECK(tokens.ids[74] == 579);
  CHECK(tokens.ids[75] == tokenizer().encode("1")[0]);
  CHECK(tokens.ids[76] == 1433);
}

TEST_CASE("without emphasis parentheses are text") {
  const std::string prompt = "a (red:1.3) \\(star\\)";
  const PromptTokens tokens = tokenize_prompt(tokenizer(), prompt, {.emphasis = false});
  std::vector<std::int64_t> ids = tokenizer().encode(prompt);
  CHECK(std::vector(tokens.ids.begin() + 1,
                    tokens.ids.begin() + 1 + static_cast<std::ptrdiff_t>(ids.size())) == ids);
  for (const float weight : tokens.weights) CHECK(weight == 1);
}

TEST_CASE("a prompt that is not UTF-8 is refused before its parts are read") {
  CHECK_THROWS_WITH_AS(tokenize_prompt(tokenizer(), "(a:1.2) \xFF", {}),
                       "the text is not UTF-8: got byte 0xff at offset 8; save it as UTF-8",
                       GraphError);
}

}  // namespace emulsion::models

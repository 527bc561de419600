#include "graph/inputs.h"

#include "graph/limits.h"

#include "check.h"

#include "emulsion/errors.h"

using namespace emulsion;

namespace {

GraphInput input(const std::string& name, InputType type) {
  return {.name = name, .path = {}, .type = type};
}

std::string refusal(const GraphInput& of, std::string_view text) {
  try {
    parse_value(of, text);
    return "";
  } catch (const GraphError& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("whole numbers of 64 bits are read, and nothing else") {
  GraphInput seed = input("seed", InputType::Int);
  seed.min = 0;
  CHECK(parse_value(seed, "0") == Param(std::int64_t{0}));
  CHECK(parse_value(seed, "+7") == Param(std::int64_t{7}));
  CHECK(parse_value(seed, "9223372036854775807") == Param(std::int64_t{9223372036854775807}));
  CHECK(refusal(seed, "9223372036854775808") ==
        "input 'seed': expected a whole number of 64 bits, got '9223372036854775808'");
  CHECK(refusal(seed, "-1") == "input 'seed': expected at least 0, got -1");
  CHECK(refusal(seed, "1.5") == "input 'seed': expected a whole number of 64 bits, got '1.5'");
  CHECK(refusal(seed, "") == "input 'seed': expected a whole number of 64 bits, got ''");
  CHECK(refusal(seed, " 1") == "input 'seed': expected a whole number of 64 bits, got ' 1'");
  CHECK(refusal(seed, "+-1") == "input 'seed': expected a whole number of 64 bits, got '+-1'");
}

TEST_CASE("a width must be a multiple in its range") {
  GraphInput width = input("width", InputType::Int);
  width.min = 8;
  width.max = 8192;
  width.multiple_of = 8;
  CHECK(parse_value(width, "768") == Param(std::int64_t{768}));
  CHECK(refusal(width, "100") ==
        "input 'width': expected a multiple of 8 in 8..8192, got 100; nearest are 96 and 104");
  CHECK(refusal(width, "0") == "input 'width': expected a multiple of 8 in 8..8192, got 0");
  CHECK(refusal(width, "8200") == "input 'width': expected a multiple of 8 in 8..8192, got 8200");
}

TEST_CASE("finite numbers are read") {
  GraphInput guidance = input("guidance", InputType::Float);
  guidance.min = 1;
  CHECK(parse_value(guidance, "7.5") == Param(7.5));
  CHECK(parse_value(guidance, "1e1") == Param(10.0));
  CHECK(parse_value(guidance, "3") == Param(3.0));
  CHECK(refusal(guidance, "0.5") == "input 'guidance': expected at least 1, got 0.5");
  CHECK(refusal(guidance, "nan") == "input 'guidance': expected a finite number, got 'nan'");
  CHECK(refusal(guidance, "inf") == "input 'guidance': expected a finite number, got 'inf'");
  CHECK(refusal(guidance, "5,5") == "input 'guidance': expected a finite number, got '5,5'");
}

TEST_CASE("flags are true, false, 1 or 0") {
  const GraphInput flag = input("fast", InputType::Bool);
  CHECK(parse_value(flag, "true") == Param(true));
  CHECK(parse_value(flag, "0") == Param(false));
  CHECK(refusal(flag, "yes") == "input 'fast': expected true or false, got 'yes'");
}

TEST_CASE("a choice is one of the choices") {
  GraphInput sampler = input("sampler", InputType::Choice);
  sampler.choices = {"auto", "euler", "ddim"};
  CHECK(parse_value(sampler, "ddim") == Param(std::string("ddim")));
  CHECK(refusal(sampler, "eular") ==
        "input 'sampler': expected one of auto, euler, ddim, got 'eular'; did you mean 'euler'?");
  CHECK(refusal(sampler, "") == "input 'sampler': expected one of auto, euler, ddim, got ''");
}

TEST_CASE("a text is any UTF-8, and a path is not empty") {
  const GraphInput prompt = input("prompt", InputType::Text);
  CHECK(parse_value(prompt, "") == Param(std::string()));
  CHECK(parse_value(prompt, "ein Stern ★") == Param(std::string("ein Stern ★")));
  CHECK(refusal(prompt, "a \xc3\x28 star") ==
        "input 'prompt': expected text in UTF-8, got other bytes: 'a �( star'");
  CHECK(refusal(prompt, "\xed\xa0\x80") ==
        "input 'prompt': expected text in UTF-8, got other bytes: '���'");
  CHECK(refusal(input("model", InputType::Model), "") == "input 'model': expected a model, got ''");
  CHECK(refusal(input("image", InputType::Image), "") == "input 'image': expected a path, got ''");
}

TEST_CASE("limits are written for people") {
  CHECK(to_text(Limits{8, 8192, 8, {}}) == "8..8192, a multiple of 8");
  CHECK(to_text(Limits{0, {}, 1, {}}) == "at least 0");
  CHECK(to_text(Limits{{}, {}, 1, {"auto", "euler"}}) == "one of auto, euler");
  CHECK(to_text(Limits{}).empty());
}

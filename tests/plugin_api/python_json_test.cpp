#include "emulsion/python_json.h"

#include "check.h"

namespace emulsion {
namespace {

TEST_CASE("numbers that JSON does not know become null") {
  CHECK(without_infinities(R"({"a": -Infinity, "b": [Infinity, NaN], "c": -1})") ==
        R"({"a": null, "b": [null, null], "c": -1})");
}

TEST_CASE("strings keep their words, also behind an escaped quote") {
  const char* text = R"({"NaN": "-Infinity", "note": "a \" NaN", "end": "\\"})";
  CHECK(without_infinities(text) == text);
}

}  // namespace
}  // namespace emulsion

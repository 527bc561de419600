#include "check.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "emulsion/str.h"
#include "graph/bind_files.h"
#include "runtime/graph/graph_faults.h"

using namespace emulsion;

namespace {

// All that a host does with a document; the number of lines that it is told.
std::size_t lines_told(const std::string& json) {
  try {
    GraphSpec spec = parse_graph(json, "g.json");
    if (!spec.outputs.empty())
      bind_output_file(spec, fakes::catalog(), spec.outputs.front().name, "a.png");
    validate(spec, fakes::catalog(), {{"steps", std::int64_t{3}}});
    return 0;
  } catch (const GraphError& error) {
    const std::string_view text = error.what();
    return 1 + static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  }
}

}  // namespace

TEST_CASE("a document that is damaged anywhere gives faults or a graph, and nothing else") {
  std::ifstream file("../graphs/sd21_txt2img.json");
  const std::string whole(std::istreambuf_iterator<char>(file), {});
  REQUIRE(whole.size() > 1000);
  CHECK(lines_told(whole) == 0);
  for (std::size_t at = 0; at < whole.size(); at += 11) {
    CHECK(lines_told(whole.substr(0, at)) == 1);
    for (const std::string_view patch : {"", "x", "\"", "{", ".", "$", "7", "\xff"})
      CHECK_NOTHROW(lines_told(whole.substr(0, at) + std::string(patch) + whole.substr(at + 1)));
  }
}

TEST_CASE("a value of another kind, anywhere, gives faults") {
  std::ifstream file("../graphs/sd21_txt2img.json");
  const std::string whole(std::istreambuf_iterator<char>(file), {});
  std::size_t replaced = 0;
  for (std::size_t at = whole.find(": "); at != std::string::npos; at = whole.find(": ", at + 1)) {
    const char first = whole[at + 2];
    if (first != '"' && first != '{') continue;
    const std::size_t start = first == '"' ? at + 2 : at + 3;
    const std::size_t end = first == '"' ? whole.find('"', at + 3) + 1 : start;
    if (whole[end] == ' ' || whole[end - 1] == '\\') continue;  // the colon is inside of a text
    for (const std::string_view value : {"null", "[]", "[{}]"}) {
      const std::string patched = first == '"' ? std::string(value) : str("\"zz\": ", value, ",");
      CHECK_NOTHROW(lines_told(whole.substr(0, start) + patched + whole.substr(end)));
      ++replaced;
    }
  }
  CHECK(replaced > 200);
}

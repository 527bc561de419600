#include "check.h"

#include <nlohmann/json.hpp>

#include "emulsion/errors.h"
#include "plan/plan_views.h"
#include "runtime/plan/hand_made_plan.h"

using namespace emulsion;

namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

std::string svg(const std::string& report) {
  const fakes::Pipeline pipeline;
  return to_svg(fakes::hand_made_plan(pipeline.graph), pipeline.graph, report);
}

}  // namespace

TEST_CASE(
    "the drawing has a panel for each device, with its nodes and its budget where it is near") {
  const std::string drawn = svg("");
  CHECK(drawn.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
  CHECK(drawn.ends_with("</svg>\n"));
  CHECK(count(drawn, "class=\"title\"") == 3);  // of the whole, and of two devices
  CHECK(count(drawn, "class=\"budget\" d=\"M80.0") == 1);
  for (const char* name : {">sim:a<", ">cpu<", ">denoise x 3<", ">encode<", ">decode<"})
    CHECK(count(drawn, name) == 1);
  CHECK(count(drawn, "class=\"measured\"") == 0);
  CHECK(count(drawn, "<g ") == count(drawn, "</g>"));
  CHECK(count(drawn, "href") == 0);
}

TEST_CASE("what a run measured lies on top, and stretches the time") {
  const nlohmann::json report{
      {"trace",
       {{{"device", "sim:a"}, {"what", "unet"}, {"begin", 1}, {"end", 40}, {"peak_bytes", kMiB}}}}};
  const std::string drawn = svg(report.dump());
  CHECK(count(drawn, "class=\"measured\"") == 2);  // the legend, and the line
  CHECK(count(drawn, ">40.0 s<") == 2);
}

TEST_CASE("a report without a trace is refused") {
  for (const char* report : {"{}", "[", "{\"trace\": [{}]}", "{\"trace\": 1}"})
    CHECK_THROWS_AS(svg(report), GraphError);
}

TEST_CASE("names cannot break the drawing") {
  fakes::Pipeline pipeline;
  pipeline.graph.name = "a<b & \"c\"";
  const std::string drawn = to_svg(fakes::hand_made_plan(pipeline.graph), pipeline.graph, "");
  CHECK(count(drawn, "a&lt;b &amp; &quot;c&quot;") == 1);
}

#include "check.h"

#include "plan/plan_chart.h"
#include "plan/plan_views.h"
#include "runtime/plan/hand_made_plan.h"

using namespace emulsion;

TEST_CASE("the table tells what a person wants to know, and draws it") {
  const fakes::Pipeline pipeline;
  CHECK(to_table(fakes::hand_made_plan(pipeline.graph), pipeline.graph) ==
        R"(fake, float32, profile auto: 20.0 s predicted
  sim:a       peak 8.00 MiB of 8.00 MiB
  cpu         peak 6.00 MiB of 64.0 MiB

step                        device       variant      weights      peak    predicted
+ sd.clip                   cpu                      4.00 MiB                 1.00 s
encode                      cpu                      4.00 MiB  6.00 MiB       2.00 s
> encode.condition          cpu -> sim:a                       1.00 MiB       0.50 s
- sd.clip                   cpu
+ sd.unet                   cpu -> sim:a             4.00 MiB                 2.00 s  2 blocks stream, one at a time
denoise x 3                                                                   12.0 s
  unet                      sim:a        lean        5.00 MiB  8.00 MiB       4.00 s  streams 3.00 MiB
decode                      sim:a                              8.00 MiB       2.50 s

sim:a, budget 8.00 MiB
8.00 MiB |┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
         |                 ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
         |                 ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
         |                 ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
         |          ████████████████████████████████████████████████████
         |          ████████████████████████████████████████████████████
         |          ████████████████████████████████████████████████████
         |         ░████████████████████████████████████████████████████
         +--------------------------------------------------------------
                           denoise x 3                          decode
          0                                                       20.0 s

cpu, far below its budget of 64.0 MiB
6.00 MiB |   ░░░░░░░
         |   ░░░░░░░
         |   ░░░░░░░
         |███████████
         |███████████
         |███████████
         |███████████
         |███████████
         +--------------------------------------------------------------
             encode
          0                                                       20.0 s

█ weights  ░ values and workspace
)");
}

TEST_CASE("charts have no gaps, and each loop's iterations") {
  const fakes::Pipeline pipeline;
  const auto charts = charts_of(fakes::hand_made_plan(pipeline.graph), pipeline.graph);
  REQUIRE(charts.size() == 2);
  for (const DeviceChart& chart : charts) {
    double end = 0;
    for (const MemorySpan& span : chart.spans) {
      CHECK(span.begin == end);
      end = span.end;
    }
    CHECK(end == 20);
  }
  CHECK(charts[1].spans.front().weights == 4 * kMiB);
  CHECK(charts[1].spans.back().weights == 0);
  CHECK(charts[0].spans.back().bytes() == 8 * kMiB);
}

TEST_CASE("a device that only passes small values on is not drawn") {
  const DevicePlan device{{.name = "cpu", .capacity = 100 * kMiB}, kMiB};
  DeviceChart chart{.device = {}, .spans = {{0, 1, 0, kMiB, "noise"}}, .labels = {}};
  CHECK_FALSE(is_worth_a_look(chart, device));
  chart.spans[0].others = 2 * kMiB;
  CHECK(is_worth_a_look(chart, device));
  chart.spans[0] = {0, 1, 1, 0, ""};
  CHECK(is_worth_a_look(chart, device));
  CHECK_FALSE(is_worth_a_look({}, device));
}

TEST_CASE("seconds have three digits, and long times minutes") {
  CHECK(seconds_text(0.0123) == "0.012 s");
  CHECK(seconds_text(1.234) == "1.23 s");
  CHECK(seconds_text(99.96) == "100.0 s");
  CHECK(seconds_text(119) == "119 s");
  CHECK(seconds_text(125.4) == "2 min 05 s");
}

#include "check.h"

#include <nlohmann/json.hpp>

#include "runtime/plan/hand_made_plan.h"

using namespace emulsion;

TEST_CASE("every step is a line that says where") {
  const fakes::Pipeline pipeline;
  CHECK(to_text(fakes::hand_made_plan(pipeline.graph), pipeline.graph) ==
        R"(fake, float32
sim:a: peak 8.00 MiB of 8.00 MiB
cpu: peak 6.00 MiB of 64.0 MiB
load    sd.clip                   -> cpu                4.00 MiB
run     encode                    on cpu                peak 6.00 MiB, workspace 1.00 MiB
copy    encode.condition          cpu -> sim:a          1.00 MiB
free    encode.condition          on cpu
evict   sd.clip                   <- cpu
load    sd.unet                   cpu -> sim:a          4.00 MiB, streams 2 blocks one by one
bind    denoise.latent            = noise.latent        on sim:a
loop    denoise                   x 4 from 1
  run     denoise.unet              on sim:a, lean        peak 8.00 MiB, workspace 0 B, streams 3.00 MiB
  trim    sim:a
run     decode                    on sim:a              peak 8.00 MiB, workspace 1.00 MiB
)");
}

TEST_CASE("the JSON has every step with its bytes and predicted seconds") {
  const fakes::Pipeline pipeline;
  const auto json =
      nlohmann::json::parse(to_json(fakes::hand_made_plan(pipeline.graph), pipeline.graph));
  CHECK(json["profile"] == "auto");
  CHECK(json["predicted_seconds"] == 20);
  CHECK(json["devices"][1]["planned_peak_bytes"] == 6 * kMiB);
  std::vector<std::string> verbs;
  for (const auto& step : json["steps"]) verbs.push_back(step["do"]);
  CHECK(verbs == std::vector<std::string>{"load", "run", "copy", "free", "evict", "load", "bind",
                                          "loop", "run"});
  CHECK(json["steps"][0]["from"] == "disk");
  const auto& load = json["steps"][5];
  CHECK(load["from"] == "cpu");
  CHECK(load["device"] == "sim:a");
  CHECK(load["held_bytes"] == 4 * kMiB);
  CHECK(load["streamed_blocks"] == std::vector<int>{1, 2});
  CHECK(load["prefetch"] == false);
  const auto& loop = json["steps"][7];
  CHECK(loop["first"] == 1);
  CHECK(loop["iterations"] == 4);
  CHECK(loop["steps"][0]["streamed_bytes"] == 3 * kMiB);
  CHECK(loop["steps"][0]["predicted_seconds"] == 4);
}

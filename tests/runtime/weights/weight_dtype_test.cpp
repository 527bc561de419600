#include "weights/weight_dtype.h"

#include "check.h"
#include "emulsion/value.h"

using namespace emulsion;

TEST_CASE("only what overflows float16 is held in bfloat16, and only in place of float16") {
  const auto held = [](const char* config, c10::ScalarType dtype) {
    return dtype_text(weight_dtype({.place = "vae", .config = config, .files = {}}, dtype));
  };
  const char* const overflows = R"({"force_upcast": true})";
  CHECK(held(overflows, c10::kHalf) == "bfloat16");
  CHECK(held(overflows, c10::kFloat) == "float32");
  CHECK(held(overflows, c10::kBFloat16) == "bfloat16");
  CHECK(held(R"({"force_upcast": false})", c10::kHalf) == "float16");
  CHECK(held("{}", c10::kHalf) == "float16");
  CHECK(held("", c10::kHalf) == "float16");
}

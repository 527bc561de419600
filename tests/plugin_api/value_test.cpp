#include "emulsion/value.h"

#include <ATen/ops/full.h>

#include "check.h"
#include "emulsion/params.h"

using namespace emulsion;

TEST_CASE("bytes are counted over all tensors of a bundle") {
  const Value bundle =
      Bundle{{"a", at::full({2, 3}, 1.0, at::kFloat)}, {"b", at::full({5}, 1.0, at::kDouble)}};
  CHECK(bytes_of(bundle) == 2 * 3 * 4 + 5 * 8);
  CHECK(bytes_of(Value(std::string("text"))) == 0);
}

TEST_CASE("a spec is written as people read it") {
  CHECK(to_text(ValueSpec(TensorSpec{{1, 4, 64, 64}, at::kHalf})) == "[1, 4, 64, 64] float16");
  CHECK(to_text(ValueSpec(BundleSpec{{"ids", {{2, 77}, at::kLong}}})) == "{ids [2, 77] int64}");
  CHECK(to_text(ValueSpec(std::int64_t{20})) == "20");
  CHECK(to_text(ValueSpec{}) == "?");
}

TEST_CASE("parameters are read by their kind") {
  const Params params({{"steps", std::int64_t{20}}, {"name", std::string("x")}});
  CHECK(params.get<std::int64_t>("steps") == 20);
  CHECK(params.find<std::int64_t>("width") == std::nullopt);
  CHECK_THROWS_AS(params.get<double>("steps"), std::logic_error);
  CHECK_THROWS_AS(params.get<double>("none"), std::logic_error);
  CHECK(to_text(Param(0.1)) == "0.1");
}

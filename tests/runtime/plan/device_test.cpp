#include "plan/device.h"

#include "check.h"

#include "emulsion/errors.h"

using namespace emulsion;

TEST_CASE("a device's budget is what is written behind it, or what is free") {
  CHECK(parse_device("cpu=3GiB").capacity == 3 * kGiB);
  CHECK(parse_device("cpu").capacity > 64 * kMiB);
  CHECK(parse_device("logical:a=2GiB").device.is_cpu());
  CHECK_FALSE(parse_device("logical:a=2GiB").simulated);
  CHECK(parse_device("sim:a=6GiB").simulated);
}

TEST_CASE("a device that is none is refused with the forms there are") {
  for (const char* text :
       {"gpu", "cuda:x", "sim:a", "sim:=4GiB", "cpu=", "cpu=much", "cpu=-1GiB", ""})
    CHECK_THROWS_AS(parse_device(text), GraphError);
  CHECK_THROWS_WITH_AS(parse_device("cpu=3Gigs"),
                       "--device cpu=3Gigs: expected a size such as 900MiB or 4GiB", GraphError);
}

TEST_CASE("the host is always the last device") {
  CHECK(parse_devices({}).back().name == "cpu");
  const auto devices = parse_devices({"cpu=2GiB", "sim:a=6GiB"});
  REQUIRE(devices.size() == 2);
  CHECK(devices[0].name == "sim:a");
  CHECK(devices[1].capacity == 2 * kGiB);
}

TEST_CASE("several devices keep their order, and none can be given twice") {
  const auto devices = parse_devices({"sim:b=1GiB", "cpu", "logical:a=2GiB"});
  REQUIRE(devices.size() == 3);
  CHECK(devices[0].name == "sim:b");
  CHECK(devices[1].name == "logical:a");
  CHECK(devices[2].name == "cpu");
  CHECK_THROWS_WITH_AS(parse_devices({"sim:a=1GiB", "sim:a=2GiB"}), "--device sim:a: given twice",
                       GraphError);
  CHECK_THROWS_WITH_AS(parse_devices({"cpu", "cpu=2GiB"}), "--device cpu: given twice", GraphError);
}

TEST_CASE("a dtype is one of four names") {
  const DeviceBudget cpu = parse_device("cpu");
  CHECK((parse_dtype("f32", cpu) == c10::ScalarType::Float));
  CHECK((parse_dtype("f16", cpu) == c10::ScalarType::Half));
  CHECK((parse_dtype("bf16", cpu) == c10::ScalarType::BFloat16));
  CHECK_THROWS_WITH_AS(parse_dtype("fp8", cpu), "--dtype fp8: expected auto, f32, f16 or bf16",
                       GraphError);
}

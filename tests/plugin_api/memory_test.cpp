#include "emulsion/memory.h"

#include "check.h"
#include "emulsion/errors.h"

using namespace emulsion;

TEST_CASE("sizes are read in units of 1024") {
  CHECK(parse_bytes("900MiB") == 900 * kMiB);
  CHECK(parse_bytes("1.5GiB") == 3 * kGiB / 2);
  CHECK(parse_bytes("4 GiB") == 4 * kGiB);
  CHECK(parse_bytes("1024") == 1024);
}

TEST_CASE("what is no size is refused") {
  for (const char* text :
       {"", "GiB", "-1GiB", "0", "4GB", "4gib", "nan", "inf", "1e300", "12 MiB x"})
    CHECK_THROWS_AS(parse_bytes(text), GraphError);
  CHECK_THROWS_WITH_AS(parse_bytes("4GB"), "'4GB': expected a size such as 900MiB or 4GiB",
                       GraphError);
}

TEST_CASE("sizes are written with three digits in the largest unit") {
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(1023) == "1023 B");
  CHECK(format_bytes(kKiB) == "1.00 KiB");
  CHECK(format_bytes(3464 * kMiB) == "3.38 GiB");
  CHECK(format_bytes(130 * kMiB) == "130 MiB");
}

#include "plan/profile.h"

#include "check.h"

#include "emulsion/errors.h"

using namespace emulsion;

TEST_CASE("each size of accelerator has its profile") {
  constexpr Bytes kGB = 1'000'000'000;
  CHECK(profile_for(24 * kGB).name == "full_gpu");
  CHECK(profile_for(16 * kGB).name == "full_gpu");
  CHECK(profile_for(12 * kGB).name == "balanced");
  CHECK(profile_for(8 * kGB).name == "gpu_poor");
  CHECK(profile_for(4 * kGB).name == "extreme");
  CHECK(profile_for(0).name == "cpu_only");
}

TEST_CASE("an unknown profile is refused with the names that there are") {
  CHECK(find_profile("balanced").encode == Where::Host);
  CHECK_THROWS_WITH_AS(find_profile("fast"),
                       "--profile fast: expected one of auto, full_gpu, balanced, gpu_poor, "
                       "extreme, cpu_only",
                       GraphError);
}

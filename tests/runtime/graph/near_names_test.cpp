#include "graph/near_names.h"

#include "check.h"

using namespace emulsion;

TEST_CASE("a name with few letters wrong, swapped, missing or added is near") {
  const std::vector<std::string> names{"latent", "denoised", "schedule"};
  const auto near = [&](std::string_view name) {
    const std::string text = expected_one_of(names, name);
    const std::size_t at = text.find("did you mean");
    return at == std::string::npos ? "" : text.substr(at);
  };
  CHECK(near("latnet") == "did you mean 'latent'?");
  CHECK(near("latents") == "did you mean 'latent'?");
  CHECK(near("Denoised") == "did you mean 'denoised'?");
  CHECK(near("shedul") == "did you mean 'schedule'?");
  CHECK(near("sched") == "did you mean 'schedule'?");
  CHECK(near("image") == "");
  CHECK(near("") == "");
}

TEST_CASE("a long list is left out where a name is near") {
  std::vector<std::string> names;
  for (char c = 'a'; c < 'n'; ++c) names.push_back(std::string("node_") + c);
  names.push_back("unet_step");
  CHECK(expected_one_of(names, "unet_stp") ==
        ": expected one of 14 names, got 'unet_stp'; did you mean 'unet_step'?");
  CHECK(expected_one_of({}, "x") == ": expected none, got 'x'");
  CHECK(expected_one_of({"only"}, "x") == ": expected only, got 'x'");
}

TEST_CASE("what a user wrote is shown on one line of valid UTF-8") {
  CHECK(quote("a b") == "'a b'");
  CHECK(quote("a\nb\x01") == "'a\\nb\\u0001'");
  CHECK(quote("\xff") == "'\xef\xbf\xbd'");
  CHECK(quote(std::string(100, 'x')) == "'" + std::string(60, 'x') + "…'");
  CHECK(is_utf8("★"));
  CHECK_FALSE(is_utf8("\xc0\x80"));
}

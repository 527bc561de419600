#include "hub/hub_listing.h"

#include "check.h"
#include "emulsion/errors.h"
#include "emulsion/str.h"

using namespace emulsion;

namespace {

const std::string kCommit(40, 'c'), kSha1(40, '1'), kSha256(64, '2');

std::string listed(const std::string& siblings) {
  return str(R"({"sha": ")", kCommit, R"(", "siblings": [)", siblings, "]}");
}

std::string entry(const std::string& path, const std::string& hash = kSha1) {
  return str(R"({"rfilename": ")", path, R"(", "size": 3, "blobId": ")", hash, R"("})");
}

}  // namespace

TEST_CASE("a listing has sizes, and the hash of what is in a file") {
  const HubListing listing = parse_hub_listing(
      listed(entry("a.json") + str(R"(, {"rfilename": "u/w.safetensors", "size": 130, "blobId": ")",
                                   kSha1, R"(", "lfs": {"sha256": ")", kSha256,
                                   R"(", "size": 5000000000}})")),
      "here");
  CHECK(listing.commit == kCommit);
  CHECK((listing.files ==
         std::vector<HubFile>{{"a.json", 3, kSha1}, {"u/w.safetensors", 5000000000, kSha256}}));
  CHECK(listing.find("a.json")->bytes == 3);
  CHECK(listing.find("b.json") == nullptr);
}

TEST_CASE("a listing with a path that leads out of the repository is refused as a whole") {
  CHECK_THROWS_WITH_AS(parse_hub_listing(listed(entry("good") + "," + entry("a/../../b")), "here"),
                       "here: lists 'a/../../b': expected a path inside the repository; do not use "
                       "this repository",
                       WeightError);
  CHECK_THROWS_WITH_AS(parse_hub_listing(listed(entry("a\\u001bb")), "here"),
                       "here: lists 'a?b': expected a path inside the repository; do not use this "
                       "repository",
                       WeightError);
}

TEST_CASE("a hash that is none would name another file, and is refused") {
  CHECK_THROWS_WITH_AS(parse_hub_listing(listed(entry("a", "../b")), "here"),
                       "here: 'a': expected a size and a hash, got 3 and '../b'; try again later",
                       WeightError);
}

TEST_CASE("what is no listing is refused") {
  for (const char* text : {"", "[]", "{}", R"({"sha": 1, "siblings": []})",
                           R"({"sha": "c", "siblings": [{"rfilename": "a"}]})"})
    CHECK_THROWS_AS(parse_hub_listing(text, "here"), WeightError);
  CHECK_THROWS_WITH_AS(parse_hub_listing(R"({"sha": "../x", "siblings": []})", "here"),
                       "here: the server's list of files: expected a commit of 40 digits, got "
                       "'../x'; try again later",
                       WeightError);
}

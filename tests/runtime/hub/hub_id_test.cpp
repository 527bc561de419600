#include "hub/hub_id.h"

#include "check.h"

using namespace emulsion;

TEST_CASE("a hub id is a repository, and may have a revision and a file") {
  CHECK(parse_hub_id("owner/a-model_1.0") == HubId{"owner/a-model_1.0", "main", ""});
  CHECK(parse_hub_id("owner/name@v1.0") == HubId{"owner/name", "v1.0", ""});
  CHECK(parse_hub_id("owner/name/sub/a.safetensors") ==
        HubId{"owner/name", "main", "sub/a.safetensors"});
  CHECK(parse_hub_id("owner/name@fp16/a.safetensors") ==
        HubId{"owner/name", "fp16", "a.safetensors"});
  CHECK(parse_hub_id("owner/name@refs/pr/1") == HubId{"owner/name", "refs/pr/1", ""});
  CHECK(parse_hub_id("owner/name@refs/pr/1/a.safetensors") ==
        HubId{"owner/name", "refs/pr/1", "a.safetensors"});
}

TEST_CASE("paths and other texts are no hub ids") {
  for (const char* text : {"",
                           "name",
                           "/owner/name",
                           "./owner/name",
                           "../name",
                           "owner/",
                           "/name",
                           "owner/name/",
                           "owner/name/file.ckpt",
                           "owner/name/../a.safetensors",
                           "owner/na me",
                           "owner/a--b",
                           "owner/a..b",
                           "owner/name.git",
                           "-owner/name",
                           "owner/name@",
                           "owner/name@a..b/..",
                           "owner/name@a^",
                           "owner/name@/x.safetensors",
                           "owner/name@a\nb",
                           "C:\\models\\a"})
    CHECK_MESSAGE(!parse_hub_id(text), text);
  CHECK(!parse_hub_id("owner/" + std::string(100, 'a')));
}

TEST_CASE("a hub id is written as it is read") {
  for (const char* text :
       {"owner/name", "owner/name@v1", "owner/name/a/b.safetensors", "owner/name@v1/b.safetensors"})
    CHECK(to_text(*parse_hub_id(text)) == text);
}

TEST_CASE("a commit has forty hexadecimal digits") {
  CHECK(is_commit("0123456789abcdef0123456789abcdef01234567"));
  CHECK(!is_commit("0123456789abcdef0123456789abcdef0123456"));
  CHECK(!is_commit("0123456789ABCDEF0123456789abcdef01234567"));
  CHECK(!is_commit("main"));
}

TEST_CASE("a path is safe where it stays below its folder on every system") {
  for (const char* path : {"a", "unet/config.json", "a..b/c", ".gitattributes", "a b", "ü"})
    CHECK_MESSAGE(is_safe_path(path), path);
  for (const char* path : {"", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/..", ".", "./a",
                           "a/.", "C:/a", "c:a", "a\\b", "a\nb", "a\x7f"})
    CHECK_MESSAGE(!is_safe_path(path), path);
}

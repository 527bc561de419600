#include "hub/hub_environment.h"

#include <map>

#include "check.h"
#include "emulsion/errors.h"
#include "runtime/weights/scratch.h"

using namespace emulsion;

namespace {

HubEnvironment read(const std::map<std::string, std::string>& variables) {
  return read_hub_environment([&](const std::string& name) {
    const auto found = variables.find(name);
    return found != variables.end() ? found->second : std::string();
  });
}

}  // namespace

TEST_CASE("the cache is where the hub's own tools have it") {
  CHECK(read({{"HOME", "/h"}}).cache == "/h/.cache/huggingface/hub");
  CHECK(read({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}}).cache == "/x/huggingface/hub");
  CHECK(read({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}, {"HF_HOME", "~/hf"}}).cache == "/h/hf/hub");
  CHECK(read({{"HF_HOME", "/hf"}, {"HUGGINGFACE_HUB_CACHE", "/old"}}).cache == "/old");
  CHECK(read({{"HUGGINGFACE_HUB_CACHE", "/old"}, {"HF_HUB_CACHE", "/new"}}).cache == "/new");
  CHECK(read({}).cache == "");
}

TEST_CASE("the endpoint has no slash at its end and must be an address") {
  CHECK(read({}).endpoint.starts_with("https://"));
  CHECK(read({{"HF_ENDPOINT", "http://127.0.0.1:80//"}}).endpoint == "http://127.0.0.1:80");
  CHECK_THROWS_WITH_AS(read({{"HF_ENDPOINT", "hub.example"}}),
                       "HF_ENDPOINT: expected an address that starts with https:// or http://, got "
                       "'hub.example'; set it to one, or unset it",
                       GraphError);
}

TEST_CASE("switches are on for the words that the hub's own tools take") {
  for (const char* on : {"1", "ON", "yes", "True"}) CHECK(read({{"HF_HUB_OFFLINE", on}}).offline);
  for (const char* off : {"", "0", "off", "2"}) CHECK(!read({{"HF_HUB_OFFLINE", off}}).offline);
  CHECK(read({{"TRANSFORMERS_OFFLINE", "1"}}).offline);
  CHECK(!read({{"TRANSFORMERS_OFFLINE", "1"}, {"HF_HUB_OFFLINE", "0"}}).offline);
  CHECK(!read({{"HF_HUB_DISABLE_SYMLINKS", "1"}}).symlinks);
}

TEST_CASE("timeouts are whole seconds") {
  CHECK(read({}).listing_timeout.count() == 10);
  CHECK(read({{"HF_HUB_ETAG_TIMEOUT", "3"}}).listing_timeout.count() == 3);
  CHECK(read({{"HF_HUB_DOWNLOAD_TIMEOUT", "60"}}).download_timeout.count() == 60);
  CHECK_THROWS_WITH_AS(read({{"HF_HUB_ETAG_TIMEOUT", "soon"}}),
                       "HF_HUB_ETAG_TIMEOUT: expected whole seconds, 1 or more, got 'soon'",
                       GraphError);
}

TEST_CASE("a token is the variable's, else the file's, and never a header of its own") {
  const Scratch scratch;
  const std::string file = scratch.write("token", " from-file\n").string();
  CHECK(read({{"HF_TOKEN_PATH", file}}).token.authorization() == "Authorization: Bearer from-file");
  CHECK(read({{"HF_HOME", scratch.folder().string()}}).token.authorization() ==
        "Authorization: Bearer from-file");
  CHECK(read({{"HF_TOKEN", "given"}, {"HF_TOKEN_PATH", file}}).token.authorization() ==
        "Authorization: Bearer given");
  CHECK(read({{"HF_TOKEN", "given"}, {"HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"}}).token.empty());
  CHECK(read({{"HF_TOKEN_PATH", file + ".none"}}).token.empty());
  CHECK_THROWS_WITH_AS(read({{"HF_TOKEN", "a\r\nX-Other: b"}}),
                       "HF_TOKEN: expected a token, got text with spaces or other characters that "
                       "no token has; copy it again",
                       GraphError);
}

#include "hub/hub_faults.h"

#include "check.h"

using namespace emulsion;

namespace {

std::string told(long status, const std::string& code, const std::string& token = "") {
  HubEnvironment hub;
  hub.endpoint = "https://hub.example";
  hub.token = Token(token);
  return refusal_text({status, code, -1}, {"o/n", "v1"}, hub, "hub.example");
}

}  // namespace

TEST_CASE("requests are made again where the server may answer later") {
  for (const long status : {408, 429, 500, 502, 503, 504}) CHECK(is_passing({status, "", -1}));
  for (const long status : {400, 401, 403, 404, 410}) CHECK(!is_passing({status, "", -1}));
}

TEST_CASE("a refusal says what to do, and never what the token is") {
  CHECK(told(403, "GatedRepo") ==
        "the repository is gated: accept its terms on https://hub.example/o/n, and set HF_TOKEN to "
        "a token of that account");
  CHECK(told(403, "GatedRepo", "secret") ==
        "the repository is gated: accept its terms on https://hub.example/o/n with the account "
        "whose token HF_TOKEN is");
  CHECK(told(404, "RevisionNotFound") ==
        "'o/n' has no revision 'v1'; leave '@v1' out for the main one");
  CHECK(told(404, "RepoNotFound", "secret") ==
        "no repository 'o/n' on hub.example that your token may read; check the name and the token "
        "(HF_TOKEN)");
  CHECK(told(401, "") ==
        "no folder or file here, and no repository 'o/n' on hub.example that is open to all; check "
        "the name, or set HF_TOKEN to a token that may read it");
  CHECK(told(503, "") ==
        "hub.example has a fault (503); pull again later, what was downloaded is kept");
  for (const long status : {401, 403, 404, 429, 500, 418})
    CHECK(told(status, "", "secret").find("secret") == std::string::npos);
}

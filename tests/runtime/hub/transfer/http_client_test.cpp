#include "hub/transfer/http_client.h"

#include "check.h"
#include "emulsion/errors.h"

using namespace emulsion;

TEST_CASE("a revision is one part of a url") {
  CHECK(url_escape("refs/pr/1") == "refs%2Fpr%2F1");
  CHECK(url_escape("a b?c#d") == "a%20b%3Fc%23d");
}

TEST_CASE("a server asks to wait for seconds or until a date") {
  CHECK(retry_after("7") == 7);
  CHECK(retry_after("") == -1);
  CHECK(retry_after("soon") == -1);
  CHECK(retry_after("Thu, 01 Jan 1970 00:00:10 GMT") == 0);
  CHECK(retry_after("Fri, 01 Jan 2100 00:00:00 GMT") > 0);
}

TEST_CASE("messages name a host without what else an address holds") {
  CHECK(host_of("https://user:password@hub.example/a?token=b") == "hub.example");
  CHECK(host_of("http://127.0.0.1:8080/a") == "127.0.0.1:8080");
}

TEST_CASE("a request that is to stop is not made") {
  const std::atomic<bool> stop{true};
  HttpClient client(stop);
  CHECK_THROWS_AS(client.get({.url = "http://127.0.0.1:9/"}, {}), Cancelled);
}

#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "emulsion/memory.h"
#include "hub/token.h"

namespace emulsion {

struct HttpRequest {
  std::string url;
  Token token = {};                  // sent to the url's own scheme, host and port, and to no other
  Bytes from = 0;                    // the first byte that is wanted
  std::chrono::seconds timeout{10};  // for the connection, and without a byte after it
};

// What comes before the body.
struct HttpAnswer {
  long status = 0;
  std::map<std::string, std::string> headers;  // names in small letters
  bool redirected = false;                     // another scheme, host or port than was asked

  std::string header(const std::string& name) const;  // empty where there is none
};

// Takes an answer as it comes; what they throw ends the request.
struct HttpReceiver {
  std::function<void(const HttpAnswer&)> begin;  // once, before the body
  std::function<void(std::string_view piece)> body;
};

// A request came to no end: no network, a connection that was cut, silence.
class HttpFault : public std::runtime_error {
 public:
  HttpFault(const std::string& what, bool connected)
      : std::runtime_error(what), connected_(connected) {}
  bool connected() const { return connected_; }  // false: the host was not reached at all

 private:
  bool connected_;
};

// Asks servers by HTTP, and keeps connections for the next request.  [one thread]
class HttpClient {
 public:
  // `stop` ends requests within a tenth of a second with Cancelled.  It outlives the client.
  explicit HttpClient(const std::atomic<bool>& stop);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Follows redirects; their bodies are nobody's.  Throws HttpFault, Cancelled, and what the
  // receiver throws.
  HttpAnswer get(const HttpRequest& request, const HttpReceiver& receiver);

 private:
  struct Transfer;
  struct Handles;

  void perform(const HttpRequest& request, const std::string& url, Transfer& transfer);
  void receive(Transfer& transfer);
  void wait_for(Transfer& transfer);

  const std::atomic<bool>& stop_;
  std::unique_ptr<Handles> handles_;
};

// A text as one part of a url's path: "refs%2Fpr%2F1".  [any thread]
std::string url_escape(const std::string& text);

// Seconds from now on that a Retry-After header asks to wait, as a number or a date; -1 where it
// says nothing.  [any thread]
long retry_after(const std::string& header);

// "hub.example" of a url, with the port where there is one, for messages; the text itself where it
// is no url.  [any thread]
std::string host_of(const std::string& url);

}  // namespace emulsion

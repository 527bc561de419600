#include "hub/transfer/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>
#include <exception>
#include <optional>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

constexpr int kMostRedirects = 5;
constexpr int kStopPause = 100;  // milliseconds between looks at `stop`
constexpr const char* kUserAgent = "emulsion/" EMULSION_VERSION;

struct Freed {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  void operator()(char* text) const { curl_free(text); }
};

using Url = std::unique_ptr<CURLU, Freed>;

// Null where the text is no address.
Url parsed(const std::string& text) {
  Url url(curl_url());
  const bool is_url = curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) == CURLUE_OK;
  return is_url ? std::move(url) : nullptr;
}

std::string part_of(const Url& url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url.get(), part, &text, flags) != CURLUE_OK) return "";
  return std::unique_ptr<char, Freed>(text).get();
}

// Who may see what is meant for the asked server.
std::string origin_of(const std::string& text) {
  const Url url = parsed(text);
  if (url == nullptr) throw HttpFault("an address that is none", false);
  return str(part_of(url, CURLUPART_SCHEME), "://", part_of(url, CURLUPART_HOST), ":",
             part_of(url, CURLUPART_PORT, CURLU_DEFAULT_PORT));
}

std::string redirected(const std::string& from, const std::string& location) {
  const Url url = parsed(from);
  const std::string scheme = part_of(url, CURLUPART_SCHEME);
  if (curl_url_set(url.get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK)
    throw HttpFault("a redirect to an address that is none", true);
  const std::string to = part_of(url, CURLUPART_SCHEME);
  if (to != "https" && to != scheme)
    throw HttpFault(str("a redirect from ", scheme, " to ", to, ", which is not safe"), true);
  return part_of(url, CURLUPART_URL);
}

bool is_redirect(long status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// Whether the host was not reached at all.
bool is_unreached(CURLcode code) {
  return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY ||
         code == CURLE_COULDNT_CONNECT;
}

std::string small_letters(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

}  // namespace

// One request to one server.
struct HttpClient::Transfer {
  HttpAnswer answer;
  const HttpReceiver* receiver = nullptr;
  CURL* easy = nullptr;
  bool begun = false;
  std::exception_ptr thrown;  // by the receiver
  std::array<char, CURL_ERROR_SIZE> message{};

  // A server's redirect says nothing that anybody waits for.
  bool is_passing() const {
    return is_redirect(answer.status) && !answer.header("location").empty();
  }

  void begin() {
    if (begun || is_passing()) return;
    begun = true;
    receiver->begin(answer);
  }

  void take_header(std::string_view line) {
    if (line.starts_with("HTTP/")) answer.headers.clear();  // after an interim answer
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    const std::size_t begin = std::min(line.find_first_not_of(" \t", colon + 1), line.size());
    const std::size_t end = line.find_last_not_of(" \t\r\n") + 1;
    answer.headers[small_letters(std::string(line.substr(0, colon)))] =
        line.substr(begin, std::max(begin, end) - begin);
  }

  // Gives false where the transfer is to end.
  bool take_body(std::string_view piece) noexcept {
    try {
      curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer.status);
      begin();
      if (begun) receiver->body(piece);
      return true;
    } catch (...) {
      thrown = std::current_exception();
      return false;
    }
  }
};

struct HttpClient::Handles {
  CURLM* multi = nullptr;
  CURL* easy = nullptr;

  Handles() {
    static const CURLcode kReady = curl_global_init(CURL_GLOBAL_DEFAULT);
    multi = curl_multi_init();
    easy = curl_easy_init();
    if (kReady != CURLE_OK || multi == nullptr || easy == nullptr)
      throw std::runtime_error("libcurl cannot be started");
  }
  ~Handles() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
  }
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;
};

std::string HttpAnswer::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found != headers.end() ? found->second : "";
}

HttpClient::HttpClient(const std::atomic<bool>& stop)
    : stop_(stop), handles_(std::make_unique<Handles>()) {}

HttpClient::~HttpClient() = default;

HttpAnswer HttpClient::get(const HttpRequest& request, const HttpReceiver& receiver) {
  const std::string origin = origin_of(request.url);
  std::string url = request.url;
  for (int redirects = 0; redirects <= kMostRedirects; ++redirects) {
    Transfer transfer;
    transfer.receiver = &receiver;
    transfer.easy = handles_->easy;
    transfer.answer.redirected = origin_of(url) != origin;
    HttpRequest one = request;
    if (transfer.answer.redirected) one.token = Token();
    perform(one, url, transfer);
    if (!transfer.is_passing()) {
      transfer.begin();
      return transfer.answer;
    }
    url = redirected(url, transfer.answer.header("location"));
  }
  throw HttpFault(str("more than ", kMostRedirects, " redirects"), true);
}

void HttpClient::perform(const HttpRequest& request, const std::string& url, Transfer& transfer) {
  CURL* easy = handles_->easy;
  std::unique_ptr<curl_slist, Freed> lines;
  if (!request.token.empty())
    lines.reset(curl_slist_append(nullptr, request.token.authorization().c_str()));
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, lines.get());
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_USERAGENT, kUserAgent);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  // A name that is being looked up is not waited for.
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer.message.data());
  const long seconds = static_cast<long>(request.timeout.count());
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, seconds);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, seconds);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);  // bytes a second
  const std::string range = str(request.from, "-");
  if (request.from > 0) curl_easy_setopt(easy, CURLOPT_RANGE, range.c_str());
  receive(transfer);
  wait_for(transfer);
}

void HttpClient::receive(Transfer& transfer) {
  CURL* easy = handles_->easy;
  const curl_write_callback on_header = [](char* data, std::size_t, std::size_t bytes, void* to) {
    static_cast<Transfer*>(to)->take_header({data, bytes});
    return bytes;
  };
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  const curl_write_callback on_body = [](char* data, std::size_t, std::size_t bytes,
                                         void* to) -> std::size_t {
    const bool goes_on = static_cast<Transfer*>(to)->take_body({data, bytes});
    return goes_on ? bytes : CURL_WRITEFUNC_ERROR;
  };
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
}

void HttpClient::wait_for(Transfer& transfer) {
  curl_multi_add_handle(handles_->multi, handles_->easy);
  std::optional<CURLcode> ended;
  while (!ended && !stop_) {
    int running = 0, left = 0;
    curl_multi_perform(handles_->multi, &running);
    while (const CURLMsg* message = curl_multi_info_read(handles_->multi, &left))
      if (message->msg == CURLMSG_DONE) ended = message->data.result;
    if (!ended) curl_multi_poll(handles_->multi, nullptr, 0, kStopPause, nullptr);
  }
  curl_easy_getinfo(handles_->easy, CURLINFO_RESPONSE_CODE, &transfer.answer.status);
  curl_multi_remove_handle(handles_->multi, handles_->easy);
  curl_easy_reset(handles_->easy);  // keeps connections, forgets the transfer
  if (transfer.thrown) std::rethrow_exception(transfer.thrown);
  if (!ended) throw Cancelled("cancelled");
  if (*ended == CURLE_OK) return;
  const std::string said = transfer.message.data();
  throw HttpFault(said.empty() ? curl_easy_strerror(*ended) : said, !is_unreached(*ended));
}

std::string url_escape(const std::string& text) {
  const std::unique_ptr<char, Freed> escaped(
      curl_easy_escape(nullptr, text.data(), static_cast<int>(text.size())));
  return escaped.get();
}

long retry_after(const std::string& header) {
  long seconds = -1;
  const auto [end, fault] = std::from_chars(header.data(), header.data() + header.size(), seconds);
  if (fault == std::errc() && end == header.data() + header.size() && seconds >= 0) return seconds;
  const std::time_t date = curl_getdate(header.c_str(), nullptr);
  return date < 0 ? -1 : std::max(0L, static_cast<long>(date - std::time(nullptr)));
}

std::string host_of(const std::string& text) {
  const Url url = parsed(text);
  if (url == nullptr) return text;
  const std::string port = part_of(url, CURLUPART_PORT);
  return part_of(url, CURLUPART_HOST) + (port.empty() ? port : str(":", port));
}

}  // namespace emulsion

#include "hub/transfer/hub_client.h"

#include <stdexcept>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "hub/transfer/patience.h"

namespace emulsion {
namespace {

constexpr long kWhole = 200, kPartial = 206, kBadRange = 416;
constexpr std::size_t kLongestListing = 64 * static_cast<std::size_t>(kMiB);

// "unet/config.json" as it is written in a url.
std::string url_path(const std::string& path) {
  std::string url;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    if (begin > 0) url += '/';
    url += url_escape(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return url;
}

// The file's length as the server has it; -1 where it does not say.
Bytes announced(const HttpAnswer& answer) {
  std::string text = answer.header("content-length");
  if (answer.status == kPartial) {  // "bytes 5-9/10"
    const std::string range = answer.header("content-range");
    const std::size_t slash = range.find('/');
    text = slash == std::string::npos ? "" : range.substr(slash + 1);
  }
  const bool is_number = !text.empty() && text.size() < 19 &&
                         text.find_first_not_of("0123456789") == std::string::npos;
  return is_number ? std::stoll(text) : -1;
}

bool begins_at(const HttpAnswer& answer, Bytes byte) {
  return answer.header("content-range").starts_with(str("bytes ", byte, "-"));
}

}  // namespace

// The server answered, and would not.
struct HubClient::Refused : std::exception {
  Refusal refusal;
  bool by_another = false;  // a server that the hub sent us to: its links are good for minutes only
};

HubClient::HubClient(const HubEnvironment& hub, const HubId& id, const std::atomic<bool>& stop,
                     Tell tell)
    : hub_(hub), id_(id), stop_(stop), tell_(std::move(tell)), http_(stop) {}

std::string HubClient::place() const { return str("model '", to_text(id_), "'"); }

HttpRequest HubClient::request_for(const std::string& path) const {
  return {.url = hub_.endpoint + path, .token = hub_.token};
}

void HubClient::expect_success(const HttpAnswer& answer) const {
  if (answer.status == kWhole || answer.status == kPartial) return;
  Refused refused;
  refused.refusal = {answer.status, answer.header("x-error-code"),
                     retry_after(answer.header("retry-after"))};
  refused.by_another = answer.redirected;
  throw refused;
}

void HubClient::persist(const std::function<void()>& attempt, const std::function<bool()>& renews,
                        Unreached unreached) {
  Patience patience(stop_, tell_);
  for (;;) {
    std::string fault;
    long asked = -1;
    try {
      return attempt();
    } catch (const Refused& refused) {
      fault = refused.by_another
                  ? str("the server that ", host_of(hub_.endpoint), " sends to answered with ",
                        refused.refusal.status, "; pull again later, what was downloaded is kept")
                  : refusal_text(refused.refusal, id_, hub_, host_of(hub_.endpoint));
      if (!is_passing(refused.refusal) && !refused.by_another)
        throw WeightError(str(place(), ": ", fault));
      asked = refused.refusal.retry_after;
    } catch (const HttpFault& cut) {
      fault = str("cannot ", cut.connected() ? "download from " : "reach ", host_of(hub_.endpoint),
                  ": ", cut.what(), "; check the network and pull again",
                  cut.connected() ? ", what was downloaded is kept"
                                  : ", or name a folder or file that is here");
      if (!cut.connected() && unreached == Unreached::Ends)
        throw WeightError(str(place(), ": ", fault));
    }
    if (renews()) patience.renew();
    if (!patience.wait(asked, str(place(), ": ", host_of(hub_.endpoint), " asks to wait")))
      throw WeightError(str(place(), ": ", fault));
  }
}

HubListing HubClient::listing() {
  HttpRequest request = request_for(
      str("/api/models/", id_.repository, "/revision/", url_escape(id_.revision), "?blobs=true"));
  request.timeout = hub_.listing_timeout;
  std::string json;
  const HttpReceiver receiver{
      [&](const HttpAnswer& answer) {
        expect_success(answer);
        json.clear();
      },
      [&](std::string_view piece) {
        if (json.size() + piece.size() > kLongestListing)
          throw WeightError(str(place(), ": the list of its files is too long"));
        json += piece;
      }};
  persist([&] { http_.get(request, receiver); }, [] { return false; }, Unreached::Ends);
  return parse_hub_listing(json, place());
}

void HubClient::start(const HttpAnswer& answer, const HubFile& file, PartFile& part) const {
  if (answer.status == kBadRange) {
    part.restart();
    throw HttpFault("the server does not go on where it ended", true);
  }
  expect_success(answer);
  const bool goes_on = answer.status == kPartial;
  if (goes_on && !begins_at(answer, part.bytes()))
    throw HttpFault("the server goes on at another place", true);
  const Bytes length = announced(answer);
  if (length >= 0 && length != file.bytes)
    throw WeightError(str(place(), ": '", file.path, "': expected ", file.bytes,
                          " bytes, got a file of ", length, "; pull again later"));
  if (!goes_on && part.bytes() > 0) part.restart();
}

void HubClient::receive(const HttpRequest& request, const HubFile& file, PartFile& part,
                        const std::function<void(Bytes)>& on_bytes) {
  const auto on_body = [&](std::string_view piece) {
    if (part.bytes() + static_cast<Bytes>(piece.size()) > file.bytes) {
      part.restart();
      throw WeightError(str(place(), ": '", file.path, "': expected ", file.bytes,
                            " bytes, got more; pull again later"));
    }
    part.add(piece);
    on_bytes(part.bytes());
  };
  http_.get(request, {[&](const HttpAnswer& answer) { start(answer, file, part); }, on_body});
  if (!part.is_full()) throw HttpFault("the connection ended early", true);
}

void HubClient::download(const std::string& commit, const HubFile& file, PartFile& part,
                         const std::function<void(Bytes)>& on_bytes) {
  HttpRequest request =
      request_for(str("/", id_.repository, "/resolve/", commit, "/", url_path(file.path)));
  request.timeout = hub_.download_timeout;
  Bytes most = part.bytes();
  on_bytes(most);
  const auto attempt = [&] {
    request.from = part.bytes();
    if (!part.is_full()) receive(request, file, part, on_bytes);
  };
  const auto renews = [&] {
    const bool further = part.bytes() > most;
    most = std::max(most, part.bytes());
    return further;
  };
  persist(attempt, renews, Unreached::IsWaitedFor);
}

}  // namespace emulsion

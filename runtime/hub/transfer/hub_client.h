#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "hub/hub_environment.h"
#include "hub/hub_faults.h"
#include "hub/hub_id.h"
#include "hub/hub_listing.h"
#include "hub/transfer/http_client.h"
#include "hub/transfer/part_file.h"

namespace emulsion {

// Asks the hub about one model, again where it helps.  Throws WeightError with what is wrong and
// what to do, and Cancelled.  [one thread]
class HubClient {
 public:
  using Tell = std::function<void(const std::string& line)>;

  // `stop` and what else is given outlive the client.
  HubClient(const HubEnvironment& hub, const HubId& id, const std::atomic<bool>& stop, Tell tell);

  HubListing listing();
  // Brings what is missing of a file; `on_bytes` hears how many bytes are there.
  void download(const std::string& commit, const HubFile& file, PartFile& part,
                const std::function<void(Bytes)>& on_bytes);

 private:
  struct Refused;
  enum class Unreached { Ends, IsWaitedFor };  // a host that no way leads to

  std::string place() const;  // "model 'owner/name'"
  HttpRequest request_for(const std::string& path) const;
  void expect_success(const HttpAnswer& answer) const;
  void receive(const HttpRequest& request, const HubFile& file, PartFile& part,
               const std::function<void(Bytes)>& on_bytes);
  void start(const HttpAnswer& answer, const HubFile& file, PartFile& part) const;
  // Does `attempt` until it ends well, or there is no sense in another one.  `renews` tells whether
  // the last attempt came further.
  void persist(const std::function<void()>& attempt, const std::function<bool()>& renews,
               Unreached unreached);

  const HubEnvironment& hub_;
  const HubId& id_;
  const std::atomic<bool>& stop_;
  Tell tell_;
  HttpClient http_;
};

}  // namespace emulsion

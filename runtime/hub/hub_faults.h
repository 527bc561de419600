#pragma once

#include <string>

#include "hub/hub_environment.h"
#include "hub/hub_id.h"

namespace emulsion {

// How the hub refused a request.
struct Refusal {
  long status = 0;        // of HTTP
  std::string code;       // X-Error-Code: "GatedRepo", may be empty
  long retry_after = -1;  // seconds; -1 where it does not say
};

// True where asking again later may help: too many requests, and faults of the server itself.
// [any thread]
bool is_passing(const Refusal& refusal);

// What to tell about it: what is wrong and what to do.  Nothing that a server wrote is in it.
// [any thread]
std::string refusal_text(const Refusal& refusal, const HubId& id, const HubEnvironment& hub,
                         const std::string& host);

}  // namespace emulsion

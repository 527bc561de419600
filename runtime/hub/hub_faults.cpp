#include "hub/hub_faults.h"

#include "emulsion/str.h"

namespace emulsion {
namespace {

constexpr long kUnauthorized = 401, kForbidden = 403, kNotFound = 404, kTimeout = 408,
               kTooMany = 429, kServerFaults = 500;

std::string no_access(const HubId& id, const HubEnvironment& hub, const std::string& host) {
  if (hub.token.empty())
    return str("no folder or file here, and no repository '", id.repository, "' on ", host,
               " that is open to all; check the name, or set HF_TOKEN to a token that may read it");
  return str("no repository '", id.repository, "' on ", host,
             " that your token may read; check the name and the token (HF_TOKEN)");
}

std::string gated(const HubId& id, const HubEnvironment& hub) {
  return str("the repository is gated: accept its terms on ", hub.endpoint, "/", id.repository,
             hub.token.empty() ? ", and set HF_TOKEN to a token of that account"
                               : " with the account whose token HF_TOKEN is");
}

std::string too_many(const Refusal& refusal, const HubEnvironment& hub, const std::string& host) {
  const std::string when =
      refusal.retry_after < 0 ? std::string("later") : str("in ", refusal.retry_after, " s");
  return str(host, " was asked too often (429); pull again ", when,
             hub.token.empty() ? ", or set HF_TOKEN, which allows more" : "");
}

}  // namespace

bool is_passing(const Refusal& refusal) {
  return refusal.status == kTooMany || refusal.status == kTimeout ||
         refusal.status >= kServerFaults;
}

std::string refusal_text(const Refusal& refusal, const HubId& id, const HubEnvironment& hub,
                         const std::string& host) {
  const bool is_hidden = refusal.status == kUnauthorized || refusal.status == kForbidden;
  if (refusal.code == "GatedRepo") return gated(id, hub);
  if (refusal.code == "RevisionNotFound")
    return str("'", id.repository, "' has no revision '", id.revision, "'; leave '@", id.revision,
               "' out for the main one");
  if (refusal.code == "EntryNotFound")
    return str("a file of '", id.repository, "' is gone; pull again");
  if (refusal.code == "RepoNotFound" || refusal.status == kUnauthorized)
    return no_access(id, hub, host);
  if (is_hidden)
    return str(host, " does not allow it (403)",
               hub.token.empty() ? "; set HF_TOKEN to a token that may read '"
                                 : "; check that your token (HF_TOKEN) may read '",
               id.repository, "'");
  if (refusal.status == kNotFound) return no_access(id, hub, host);
  if (refusal.status == kTooMany) return too_many(refusal, hub, host);
  if (is_passing(refusal))
    return str(host, " has a fault (", refusal.status,
               "); pull again later, what was downloaded is kept");
  return str(host, " answered with ", refusal.status, "; check HF_ENDPOINT, or pull again later");
}

}  // namespace emulsion

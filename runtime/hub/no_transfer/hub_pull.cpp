#include "hub/hub_pull.h"

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "hub/hub_snapshot.h"

namespace emulsion {

// Where there is no libcurl or OpenSSL.
std::filesystem::path pull(const HubEnvironment& hub, const HubId& id, const PullOptions&) {
  const CachedModel found = find_in_cache(hub.cache, id);
  if (found.is_whole()) return found.path;
  throw WeightError(str("model '", to_text(id), "': ", absence_text(found, hub.cache),
                        ", and this build cannot download: libcurl or OpenSSL was missing; build "
                        "with both, or get the model with another tool of the hub"));
}

}  // namespace emulsion

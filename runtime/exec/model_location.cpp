#include "exec/model_location.h"

#include <system_error>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "exec/shipped_files.h"
#include "hub/hub_environment.h"
#include "hub/hub_snapshot.h"
#include "weights/weight_store.h"

namespace emulsion {

namespace fs = std::filesystem;

namespace {

fs::path locate_in_cache(const std::string& what, const std::string& source, const HubId& id) {
  const fs::path cache = read_hub_environment().cache;
  const CachedModel found = find_in_cache(cache, id);
  if (found.is_whole()) return found.path;
  throw WeightError(str(what, " '", source, "': ", absence_text(found, cache),
                        "; get it with: emulsion models pull ", source));
}

}  // namespace

std::optional<HubId> hub_id_of(const std::string& source) {
  if (existing_model(source, share_folders("models"))) return std::nullopt;
  std::error_code unreadable;
  const std::string owner = source.substr(0, source.find('/'));
  return fs::is_directory(owner, unreadable) ? std::nullopt : parse_hub_id(source);
}

fs::path locate_model(const std::string& source) {
  const auto id = hub_id_of(source);
  if (!id) return find_model(source, share_folders("models"));
  return find_model(locate_in_cache("model", source, *id).string(), {});
}

fs::path locate_file(const std::string& what, const std::string& source) {
  const auto id = hub_id_of(source);
  return id ? locate_in_cache(what, source, *id) : fs::path(source);
}

}  // namespace emulsion

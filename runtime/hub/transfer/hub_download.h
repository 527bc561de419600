#pragma once

#include <string>
#include <vector>

#include "hub/cached_repository.h"
#include "hub/hub_environment.h"
#include "hub/hub_id.h"
#include "hub/hub_listing.h"
#include "hub/hub_pull.h"

namespace emulsion {

// True where the cache has the file: in the snapshot, or as a blob of its size.  What has another
// size is damaged, and removed.  [any thread]
bool is_cached(const CachedRepository& repository, const std::string& commit, const HubFile& file);

// Brings the blobs of files that the cache lacks, several at once.  Throws WeightError where one
// cannot be had, Cancelled, std::filesystem::filesystem_error.
void download_files(const HubEnvironment& hub, const HubId& id, const CachedRepository& repository,
                    const std::string& commit, std::vector<HubFile> files,
                    const PullOptions& options);

}  // namespace emulsion

#pragma once

#include <string>
#include <vector>

#include "emulsion/memory.h"

namespace emulsion {

// A file of a repository, as the hub tells of it.
struct HubFile {
  std::string path;  // with '/', and is_safe_path()
  Bytes bytes = 0;
  // What it holds: SHA-256 of large files (64 digits), else git's SHA-1 of a blob (40 digits).
  std::string etag;

  bool operator==(const HubFile&) const = default;
};

struct HubListing {
  std::string commit;
  std::vector<HubFile> files;

  const HubFile* find(const std::string& path) const;  // null where there is none
};

// Reads the hub's description of a revision with its blobs.  `place` begins the message.  Throws
// WeightError when it is none, or names a path that leads out of the repository.  [any thread]
HubListing parse_hub_listing(const std::string& json, const std::string& place);

}  // namespace emulsion

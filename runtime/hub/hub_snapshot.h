#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "emulsion/memory.h"
#include "hub/hub_id.h"

namespace emulsion {

// What the cache has of a model, or of a part of one or an adapter.
struct CachedModel {
  std::filesystem::path path;  // the snapshot's folder, or the file in it; empty: nothing
  std::string lacks;  // what a whole model would have besides: "weights of 'vae'", or empty

  bool is_whole() const { return !path.empty() && lacks.empty(); }
};

// Without the network: the revision is the one that the cache saw last.  Where something is lacking
// it may be that the repository does not have it either.  [any thread]
CachedModel find_in_cache(const std::filesystem::path& cache, const HubId& id);

// "the hub's cache '/a/b' has nothing of it", of what is not whole.  [any thread]
std::string absence_text(const CachedModel& found, const std::filesystem::path& cache);

// A model that the cache has, as `models list` tells.
struct CachedEntry {
  std::string model;  // as a graph's `model` takes it
  std::filesystem::path path;
  std::string commit;
  Bytes bytes = 0;
  std::string lacks;
};

// Models in diffusers' layout, parts of them, and checkpoints that lie at the top of their
// repositories; of other programs' models nothing.  In the order of names.  [any thread]
std::vector<CachedEntry> models_in_cache(const std::filesystem::path& cache);

// Of all files below a folder, as links count what they lead to.  [any thread]
Bytes bytes_below(const std::filesystem::path& folder);

}  // namespace emulsion

#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>

#include "emulsion/memory.h"
#include "hub/hub_environment.h"
#include "hub/hub_id.h"
#include "hub/hub_selection.h"

namespace emulsion {

// Where a download stands.
struct PullProgress {
  std::size_t files = 0, files_done = 0;
  Bytes bytes = 0, bytes_done = 0;
  double bytes_per_second = 0;  // since it began
};

struct PullOptions {
  Precision precision = Precision::Half;
  bool verify = false;  // hash what is there, and get again what is damaged
  const std::atomic<bool>* cancelled = nullptr;  // set it from anywhere: it ends within a second
  // On the calling thread.
  std::function<void(const PullProgress&)> progress;
  std::function<void(const std::string& line)> tell;
};

// Brings the files of a model, a part of one or an adapter that the cache lacks, several at once,
// and gives what find_in_cache() gives then.  Offline it only looks.  What is downloaded stays when
// it ends early, and the next pull goes on there.  Throws WeightError, GraphError, Cancelled.
std::filesystem::path pull(const HubEnvironment& hub, const HubId& id, const PullOptions& options);

}  // namespace emulsion

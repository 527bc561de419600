#include "exec/model_fetch.h"

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "exec/model_location.h"
#include "exec/request_setup.h"
#include "hub/hub_pull.h"
#include "hub/hub_snapshot.h"

namespace emulsion {
namespace {

PullOptions options_of(const std::string& model, const Callbacks& callbacks) {
  PullOptions options;
  options.cancelled = callbacks.cancelled;
  options.tell = callbacks.warn;
  if (callbacks.download)
    options.progress = [&callbacks, model](const PullProgress& at) {
      callbacks.download(
          {model, at.files, at.files_done, at.bytes, at.bytes_done, at.bytes_per_second});
    };
  return options;
}

}  // namespace

std::filesystem::path pull_model(const PullRequest& request, const Callbacks& callbacks) {
  const auto id = parse_hub_id(request.model);
  if (!id)
    throw GraphError(str("model '", request.model, "': expected a hub id: owner/name, with ",
                         "@revision and /path/to/a.safetensors where wanted"));
  PullOptions options = options_of(request.model, callbacks);
  options.verify = request.verify;
  const bool full =
      parse_dtype(request.dtype == "auto" ? "f16" : request.dtype, {}) == c10::ScalarType::Float;
  options.precision = full ? Precision::Full : Precision::Half;
  return pull(read_hub_environment(), *id, options);
}

void fetch_sources(const Request& request, const std::vector<std::string>& sources,
                   const Callbacks& callbacks) {
  const bool full = dtypes_of(request).front() == c10::ScalarType::Float;
  for (const std::string& source : sources) {
    const auto id = hub_id_of(source);
    if (!id) continue;
    const HubEnvironment hub = read_hub_environment();
    if (find_in_cache(hub.cache, *id).is_whole()) continue;
    PullOptions options = options_of(source, callbacks);
    options.precision = full ? Precision::Full : Precision::Half;
    pull(hub, *id, options);
  }
}

}  // namespace emulsion

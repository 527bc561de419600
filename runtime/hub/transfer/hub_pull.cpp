#include "hub/hub_pull.h"

#include <fstream>
#include <iterator>
#include <set>
#include <system_error>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "hub/hub_snapshot.h"
#include "hub/transfer/hub_client.h"
#include "hub/transfer/hub_download.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;

const std::atomic<bool> kNever{false};

std::string place_of(const HubId& id) { return str("model '", to_text(id), "'"); }

std::string content_of(const CachedRepository& repository, const std::string& commit,
                       const HubFile& file) {
  fs::path path = repository.snapshot(commit) / file.path;
  if (!fs::exists(path)) path = repository.blob(file.etag);
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::vector<HubFile> select(const HubEnvironment& hub, const HubId& id,
                            const CachedRepository& repository, const HubListing& listing,
                            const PullOptions& options) {
  if (!id.file.empty()) return select_checkpoint(listing, id);
  const HubFile* index = listing.find(kModelIndex);
  if (index == nullptr) {
    repository.note_missing(listing.commit, kModelIndex);
    return select_other(listing, options.precision, id);
  }
  PullOptions quiet = options;
  quiet.progress = nullptr;
  download_files(hub, id, repository, listing.commit, {*index}, quiet);
  return select_model(listing, content_of(repository, listing.commit, *index), options.precision,
                      id);
}

// Before gigabytes are on their way.
void check_space(const HubEnvironment& hub, const HubId& id, const CachedRepository& repository,
                 const std::vector<HubFile>& files) {
  Bytes needed = 0;
  std::set<std::string> counted;
  for (const HubFile& file : files) {
    if (!counted.insert(file.etag).second) continue;
    std::error_code none;
    const auto there = fs::file_size(repository.blob(file.etag).string() + ".incomplete", none);
    needed += file.bytes - (none ? 0 : static_cast<Bytes>(there));
  }
  const auto free = static_cast<Bytes>(fs::space(hub.cache).available);
  if (needed > free)
    throw WeightError(str(place_of(id), ": expected ", format_bytes(needed), " free for '",
                          hub.cache.string(), "', got ", format_bytes(free),
                          "; free space, or set HF_HUB_CACHE to another disk's folder"));
}

// The index comes last: where it is, the rest is as well.
void place_files(const HubEnvironment& hub, const CachedRepository& repository,
                 const std::string& commit, const std::vector<HubFile>& files) {
  std::multiset<std::string> uses;
  for (const HubFile& file : files) uses.insert(file.etag);
  for (const HubFile& file : files) {
    uses.erase(uses.find(file.etag));
    const auto blob = uses.contains(file.etag) ? CachedRepository::Blob::IsNeeded
                                               : CachedRepository::Blob::MayMove;
    repository.place(commit, file.path, file.etag, hub.symlinks, blob);
  }
}

fs::path pull_online(const HubEnvironment& hub, const HubId& id, const PullOptions& options) {
  const auto tell = [&](const std::string& line) {
    if (options.tell) options.tell(line);
  };
  const std::atomic<bool>& stop = options.cancelled != nullptr ? *options.cancelled : kNever;
  const HubListing listing = HubClient(hub, id, stop, tell).listing();
  const CachedRepository repository(hub.cache, id.repository);
  repository.prepare();
  const std::vector<HubFile> files = select(hub, id, repository, listing, options);
  std::vector<HubFile> wanted = files;
  const auto is_there = [&](const HubFile& file) {
    return is_cached(repository, listing.commit, file);
  };
  if (!options.verify) {
    std::erase_if(wanted, is_there);
    check_space(hub, id, repository, wanted);
  }
  if (!wanted.empty()) download_files(hub, id, repository, listing.commit, wanted, options);
  place_files(hub, repository, listing.commit, files);
  repository.note_commit(id.revision, listing.commit);
  return find_in_cache(hub.cache, {id.repository, listing.commit, id.file}).path;
}

fs::path find_offline(const HubEnvironment& hub, const HubId& id) {
  const CachedModel found = find_in_cache(hub.cache, id);
  if (found.is_whole()) return found.path;
  throw WeightError(str(place_of(id), ": ", absence_text(found, hub.cache),
                        ", and HF_HUB_OFFLINE forbids to get it; unset it and pull again"));
}

}  // namespace

fs::path pull(const HubEnvironment& hub, const HubId& id, const PullOptions& options) {
  if (hub.cache.empty())
    throw GraphError("the hub's cache: neither HF_HUB_CACHE, HF_HOME nor HOME is set; set one");
  if (hub.offline) return find_offline(hub, id);
  try {
    return pull_online(hub, id, options);
  } catch (const fs::filesystem_error& fault) {
    throw WeightError(str(place_of(id), ": the hub's cache: '", fault.path1().string(),
                          "': ", fault.code().message(),
                          "; check the folder, or set HF_HUB_CACHE to another"));
  }
}

}  // namespace emulsion

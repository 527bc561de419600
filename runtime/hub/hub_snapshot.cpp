#include "hub/hub_snapshot.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <system_error>
#include <tuple>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "hub/cached_repository.h"
#include "hub/hub_selection.h"
#include "weights/component_files.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;

bool is_file(const fs::path& path) {
  std::error_code unreadable;
  return fs::is_regular_file(path, unreadable);
}

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool has_weights(const fs::path& folder) {
  try {
    return !weight_files(folder).files.empty();
  } catch (const WeightError&) {
    return false;  // a shard or an index is missing
  }
}

std::string lacks_in_part(const fs::path& folder) {
  const std::string config = component_config(folder).filename().string();
  const std::string part = str("'", folder.filename().string(), "'");
  if (config.empty()) return str("part ", part);
  if (config == "config.json" && !has_weights(folder)) return str("weights of ", part);
  const bool has_vocabulary = is_file(folder / "tokenizer.json") ||
                              is_file(folder / "spiece.model") ||
                              (is_file(folder / "vocab.json") && is_file(folder / "merges.txt"));
  if (config == "tokenizer_config.json" && !has_vocabulary) return str("vocabulary of ", part);
  return "";
}

std::string lacks_in(const fs::path& snapshot) {
  if (!is_file(snapshot / kModelIndex)) return kModelIndex;
  for (const std::string& part : parts_of(text_of(snapshot / kModelIndex), snapshot.string()))
    if (const std::string lacks = lacks_in_part(snapshot / part); !lacks.empty()) return lacks;
  return "";
}

// What select_other() takes.
CachedModel other_in(const fs::path& snapshot) {
  if (is_file(snapshot / "config.json") && has_weights(snapshot)) return {snapshot, ""};
  for (const char* name : kAdapterFiles)
    if (is_file(snapshot / name)) return {snapshot / name, ""};
  std::vector<fs::path> files;
  std::error_code unreadable;
  for (const auto& entry : fs::recursive_directory_iterator(snapshot, unreadable))
    if (entry.path().extension() == ".safetensors" && entry.is_regular_file(unreadable))
      files.push_back(entry.path());
  return files.size() == 1 ? CachedModel{files.front(), ""} : CachedModel{snapshot, kModelIndex};
}

// The revisions of a repository's folder by their commits; a commit that none names is its own.
std::multimap<std::string, std::string> revisions_in(const fs::path& folder) {
  std::multimap<std::string, std::string> revisions;
  std::error_code unreadable;
  const fs::path refs = folder / "refs";
  for (const auto& entry : fs::recursive_directory_iterator(refs, unreadable))
    if (entry.is_regular_file(unreadable))
      revisions.emplace(text_of(entry.path()),
                        entry.path().lexically_relative(refs).generic_string());
  for (const auto& entry : fs::directory_iterator(folder / "snapshots", unreadable)) {
    const std::string commit = entry.path().filename().string();
    if (!revisions.contains(commit)) revisions.emplace(commit, commit);
  }
  return revisions;
}

void add_entries(const fs::path& snapshot, HubId id, std::vector<CachedEntry>& entries) {
  const std::string commit = snapshot.filename().string();
  if (is_file(snapshot / kModelIndex))
    entries.push_back({to_text(id), snapshot, commit, bytes_below(snapshot), lacks_in(snapshot)});
  else if (other_in(snapshot).path == snapshot && other_in(snapshot).is_whole())  // a part
    return entries.push_back({to_text(id), snapshot, commit, bytes_below(snapshot), ""});
  std::error_code unreadable;
  for (const auto& entry : fs::directory_iterator(snapshot, unreadable)) {
    id.file = entry.path().filename().string();
    if (entry.path().extension() == ".safetensors" && entry.is_regular_file(unreadable))
      entries.push_back(
          {to_text(id), entry.path(), commit, static_cast<Bytes>(entry.file_size(unreadable)), ""});
  }
}

}  // namespace

Bytes bytes_below(const fs::path& folder) {
  Bytes bytes = 0;
  std::error_code unreadable;
  for (const auto& entry : fs::recursive_directory_iterator(folder, unreadable))
    if (entry.is_regular_file(unreadable)) bytes += static_cast<Bytes>(entry.file_size(unreadable));
  return bytes;
}

CachedModel find_in_cache(const fs::path& cache, const HubId& id) {
  if (cache.empty()) return {};
  const CachedRepository repository(cache, id.repository);
  const auto commit = repository.commit_of(id.revision);
  if (!commit) return {};
  const fs::path snapshot = repository.snapshot(*commit);
  std::error_code unreadable;
  if (!id.file.empty())
    return is_file(snapshot / id.file) ? CachedModel{snapshot / id.file, ""} : CachedModel{};
  if (!fs::is_directory(snapshot, unreadable)) return {};
  return is_file(snapshot / kModelIndex) ? CachedModel{snapshot, lacks_in(snapshot)}
                                         : other_in(snapshot);
}

std::string absence_text(const CachedModel& found, const fs::path& cache) {
  return str("the hub's cache '", cache.string(), "' has ",
             found.path.empty() ? "nothing of it" : str("no ", found.lacks));
}

std::vector<CachedEntry> models_in_cache(const fs::path& cache) {
  constexpr std::string_view kMark = "models--";
  std::vector<CachedEntry> entries;
  std::error_code unreadable;
  for (const auto& folder : fs::directory_iterator(cache, unreadable)) {
    const std::string name = folder.path().filename().string();
    if (!name.starts_with(kMark)) continue;
    const std::string joined = name.substr(kMark.size());
    const std::size_t dashes = joined.find("--");
    if (dashes == std::string::npos) continue;
    const auto id = parse_hub_id(str(joined.substr(0, dashes), '/', joined.substr(dashes + 2)));
    if (!id) continue;
    for (const auto& [commit, revision] : revisions_in(folder.path()))
      add_entries(folder.path() / "snapshots" / commit, {id->repository, revision, ""}, entries);
  }
  std::ranges::sort(entries, {},
                    [](const auto& entry) { return std::tie(entry.model, entry.commit); });
  return entries;
}

}  // namespace emulsion

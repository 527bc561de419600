#include "hub/cached_repository.h"

#include <fstream>
#include <iterator>
#include <system_error>

#include "emulsion/str.h"
#include "hub/hub_id.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;

// Its first line is what backup tools look for.
constexpr const char* kCacheTag =
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# What is below can be downloaded again.\n";

std::string folder_name(std::string repository) {
  repository.replace(repository.find('/'), 1, "--");
  return "models--" + repository;
}

// A file that is there is a whole one.
void write_whole(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  const fs::path partial = file.string() + ".partial";
  std::ofstream(partial, std::ios::binary) << text << std::flush;
  fs::rename(partial, file);
}

}  // namespace

CachedRepository::CachedRepository(const fs::path& cache, const std::string& repository)
    : cache_(cache),
      folder_(cache / folder_name(repository)),
      locks_(cache / ".locks" / folder_name(repository)) {}

std::optional<std::string> CachedRepository::commit_of(const std::string& revision) const {
  if (is_commit(revision)) return revision;
  std::ifstream file(folder_ / "refs" / revision, std::ios::binary);
  const std::string commit(std::istreambuf_iterator<char>(file), {});
  return is_commit(commit) ? std::optional(commit) : std::nullopt;
}

fs::path CachedRepository::snapshot(const std::string& commit) const {
  return folder_ / "snapshots" / commit;
}

fs::path CachedRepository::blob(const std::string& etag) const { return folder_ / "blobs" / etag; }

fs::path CachedRepository::lock(const std::string& etag) const { return locks_ / (etag + ".lock"); }

void CachedRepository::prepare() const {
  fs::create_directories(folder_ / "blobs");
  fs::create_directories(locks_);
  const fs::path tag = cache_ / "CACHEDIR.TAG";
  if (!fs::exists(tag)) write_whole(tag, kCacheTag);
}

void CachedRepository::place(const std::string& commit, const std::string& path,
                             const std::string& etag, bool with_links, Blob use) const {
  const fs::path file = snapshot(commit) / path;
  if (fs::exists(file)) return;
  fs::create_directories(file.parent_path());
  fs::remove(file);  // a link to a blob that is gone
  std::error_code fault;
  if (with_links) {
    fs::create_symlink(fs::relative(blob(etag), file.parent_path()), file, fault);
    if (!fault) return;
  }
  // The file system has no links, or nobody wants them.
  if (use == Blob::MayMove) return fs::rename(blob(etag), file);
  const fs::path partial = file.string() + ".partial";
  fs::copy_file(blob(etag), partial, fs::copy_options::overwrite_existing);
  fs::rename(partial, file);
}

void CachedRepository::note_missing(const std::string& commit, const std::string& path) const {
  write_whole(folder_ / ".no_exist" / commit / path, "");
}

void CachedRepository::note_commit(const std::string& revision, const std::string& commit) const {
  if (revision != commit) write_whole(folder_ / "refs" / revision, commit);
}

}  // namespace emulsion

#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace emulsion {

// One repository in the hub's cache, in the layout that all of the hub's tools share:
//   models--owner--name/refs/<revision>             the commit that a revision was last seen at
//   models--owner--name/blobs/<etag>                what files hold, by its hash
//   models--owner--name/snapshots/<commit>/<path>   links to blobs, or files where there are no
//   links models--owner--name/.no_exist/<commit>/<path>   empty: the commit is known to have no
//   such file .locks/models--owner--name/<etag>.lock          held by who writes a blob
// What changes it throws std::filesystem::filesystem_error.  [any thread]
class CachedRepository {
 public:
  // `repository` is "owner/name".
  CachedRepository(const std::filesystem::path& cache, const std::string& repository);

  // Of a branch or tag as last seen, of a commit itself.
  std::optional<std::string> commit_of(const std::string& revision) const;
  std::filesystem::path snapshot(const std::string& commit) const;
  std::filesystem::path blob(const std::string& etag) const;
  std::filesystem::path lock(const std::string& etag) const;

  // Makes the folders for blobs and locks, and marks the cache as one for backup tools.
  void prepare() const;
  // Lets `path` of the snapshot be what the blob holds, as a link; without links as a copy, or as
  // the blob itself where this was its last use.
  enum class Blob { IsNeeded, MayMove };
  void place(const std::string& commit, const std::string& path, const std::string& etag,
             bool with_links, Blob blob) const;
  void note_missing(const std::string& commit, const std::string& path) const;
  void note_commit(const std::string& revision, const std::string& commit) const;

 private:
  std::filesystem::path cache_, folder_, locks_;
};

}  // namespace emulsion

#include "hub/cached_repository.h"

#include "check.h"
#include "runtime/weights/scratch.h"

using namespace emulsion;
namespace fs = std::filesystem;

namespace {

const std::string kCommit(40, 'c');
const std::string kEtag(64, 'e');

}  // namespace

TEST_CASE("a repository has its folder below the cache") {
  const CachedRepository repository("cache", "owner/name");
  CHECK(repository.snapshot(kCommit) == fs::path("cache/models--owner--name/snapshots") / kCommit);
  CHECK(repository.blob(kEtag) == fs::path("cache/models--owner--name/blobs") / kEtag);
  CHECK(repository.lock("e") == "cache/.locks/models--owner--name/e.lock");
}

TEST_CASE("a revision is known once its commit was noted, and a commit knows itself") {
  const Scratch scratch;
  const CachedRepository repository(scratch.folder(), "owner/name");
  CHECK(repository.commit_of(kCommit) == kCommit);
  CHECK(!repository.commit_of("refs/pr/1"));
  repository.note_commit("refs/pr/1", kCommit);
  CHECK(repository.commit_of("refs/pr/1") == kCommit);
  repository.note_commit(kCommit, kCommit);
  CHECK(!fs::exists(scratch.folder() / "models--owner--name/refs" / kCommit));
}

TEST_CASE("a snapshot's file is a relative link to its blob") {
  const Scratch scratch;
  const CachedRepository repository(scratch.folder() / "hub", "owner/name");
  repository.prepare();
  scratch.write("hub/models--owner--name/blobs/" + kEtag, "data");
  repository.place(kCommit, "a/b.json", kEtag, true, CachedRepository::Blob::MayMove);
  CHECK(fs::read_symlink(repository.snapshot(kCommit) / "a/b.json") == "../../../blobs/" + kEtag);
  fs::rename(scratch.folder() / "hub", scratch.folder() / "moved");
  const CachedRepository moved(scratch.folder() / "moved", "owner/name");
  CHECK(fs::file_size(moved.snapshot(kCommit) / "a/b.json") == 4);
}

TEST_CASE("without links a blob is copied as long as it is needed, and then moves") {
  const Scratch scratch;
  const CachedRepository repository(scratch.folder(), "owner/name");
  const fs::path blob = scratch.write("models--owner--name/blobs/" + kEtag, "data");
  repository.place(kCommit, "a", kEtag, false, CachedRepository::Blob::IsNeeded);
  CHECK(fs::exists(blob));
  repository.place(kCommit, "b", kEtag, false, CachedRepository::Blob::MayMove);
  CHECK(!fs::exists(blob));
  for (const char* name : {"a", "b"}) {
    CHECK(fs::file_size(repository.snapshot(kCommit) / name) == 4);
    CHECK(!fs::is_symlink(repository.snapshot(kCommit) / name));
  }
}

TEST_CASE("a file that a commit does not have is noted") {
  const Scratch scratch;
  CachedRepository(scratch.folder(), "owner/name").note_missing(kCommit, "model_index.json");
  CHECK(fs::exists(scratch.folder() / "models--owner--name/.no_exist" / kCommit /
                   "model_index.json"));
}

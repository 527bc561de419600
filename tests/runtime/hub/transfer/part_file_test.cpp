#include "hub/transfer/part_file.h"

#include "check.h"
#include "runtime/weights/scratch.h"

using namespace emulsion;
namespace fs = std::filesystem;

namespace {

// "abc", as git tells it
const HubFile kFile{"a.json", 3, "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f"};
const auto kGoOn = [] {};

}  // namespace

TEST_CASE("a blob appears when all of it is there and right") {
  const Scratch scratch;
  const fs::path blob = scratch.folder() / kFile.etag;
  PartFile part(blob, kFile, kGoOn);
  part.add("ab");
  CHECK(!part.is_full());
  part.add("c");
  CHECK(part.is_full());
  CHECK(!fs::exists(blob));
  CHECK(part.commit().empty());
  CHECK(fs::file_size(blob) == 3);
  CHECK(scratch.entries() == 1);
}

TEST_CASE("what an earlier download left is gone on with") {
  const Scratch scratch;
  const fs::path blob = scratch.folder() / kFile.etag;
  { PartFile(blob, kFile, kGoOn).add("a"); }
  PartFile part(blob, kFile, kGoOn);
  CHECK(part.is_resumed());
  CHECK(part.bytes() == 1);
  part.add("bc");
  CHECK(part.commit().empty());
}

TEST_CASE("a wrong hash is told, and leaves an empty part") {
  const Scratch scratch;
  const fs::path blob = scratch.folder() / kFile.etag;
  PartFile part(blob, kFile, kGoOn);
  part.add("abd");
  CHECK(part.commit() == "git's sha1 d4a5aa562b600d597c542a3610ae0b7b6ae0dbd7");
  CHECK(part.bytes() == 0);
  CHECK(!fs::exists(blob));
  part.add("abc");
  CHECK(part.commit().empty());
}

TEST_CASE("a part that is longer than its file is of another") {
  const Scratch scratch;
  scratch.write(kFile.etag + ".incomplete", "abcd");
  PartFile part(scratch.folder() / kFile.etag, kFile, kGoOn);
  CHECK(part.bytes() == 0);
  CHECK(!part.is_resumed());
}

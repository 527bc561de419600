#include "weights/mapped_file.h"

#include "check.h"

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "runtime/weights/scratch.h"
#include "weights/file_identity.h"

using namespace emulsion;

TEST_CASE("a mapping shows the file's bytes") {
  const Scratch scratch;
  const MappedFile file(scratch.write("three", "abc"));
  REQUIRE(file.bytes().size() == 3);
  CHECK(std::memcmp(file.bytes().data(), "abc", 3) == 0);
}

TEST_CASE("an empty file is mapped to no bytes") {
  const Scratch scratch;
  CHECK(MappedFile(scratch.write("empty", "")).bytes().empty());
}

TEST_CASE("a mapping outlives the file's name") {
  const Scratch scratch;
  const std::filesystem::path path = scratch.write("gone", "still here");
  const MappedFile file(path);
  std::filesystem::remove(path);
  CHECK(std::memcmp(file.bytes().data(), "still here", 10) == 0);
}

TEST_CASE("what is no file cannot be mapped") {
  const Scratch scratch;
  const std::string folder = scratch.folder().string();
  CHECK_THROWS_WITH_AS(MappedFile(scratch.folder() / "none"),
                       str(folder, "/none: No such file or directory").c_str(), WeightError);
  CHECK_THROWS_WITH_AS(MappedFile{scratch.folder()}, str(folder, ": expected a file").c_str(),
                       WeightError);
}

TEST_CASE("a part of a file is mapped from any byte on, and no further than it reaches") {
  const Scratch scratch;
  const std::string text(10'000, 'x');
  const std::filesystem::path path = scratch.write("long", text + "part" + text);
  const MappedFile part(path, 10'000, 4);
  REQUIRE(part.bytes().size() == 4);
  CHECK(std::memcmp(part.bytes().data(), "part", 4) == 0);
  CHECK_NOTHROW(part.touch());
  CHECK(MappedFile(path, 20'004, 0).bytes().empty());
  CHECK_THROWS_WITH_AS(
      MappedFile(path, 20'000, 5),
      str(path.string(), ": cut short: expected 5 bytes at byte 20000, got a file of 20004")
          .c_str(),
      WeightError);
  CHECK_THROWS_AS(MappedFile(path, ~std::uint64_t{0}, 2), WeightError);
}

TEST_CASE("a shared mapping is one while somebody has it") {
  const Scratch scratch;
  const std::filesystem::path path = scratch.write("shared", "abc");
  const FileIdentity opened = identity_of(path);
  auto first = shared_mapping(path, opened);
  CHECK(shared_mapping(path, opened) == first);
  std::filesystem::create_symlink(path, scratch.folder() / "link");
  CHECK(shared_mapping(scratch.folder() / "link", identity_of(scratch.folder() / "link")) == first);
  const std::weak_ptr<const MappedFile> seen = first;
  first = nullptr;
  CHECK(seen.expired());
}

TEST_CASE("a file that was replaced by one of the same bytes is another one") {
  const Scratch scratch;
  const std::filesystem::path path = scratch.write("file", "abc");
  const FileIdentity opened = identity_of(path);
  CHECK_NOTHROW(expect_unchanged(path, opened));
  std::filesystem::rename(scratch.write("new", "abc"), path);
  CHECK_THROWS_WITH_AS(expect_unchanged(path, opened),
                       str(path.string(),
                           ": has changed since it was opened: expected the file of 3 bytes, got "
                           "a newer one of 3; start again")
                           .c_str(),
                       WeightError);
  CHECK_THROWS_AS(shared_mapping(path, opened), WeightError);
}

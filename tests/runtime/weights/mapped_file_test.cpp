#include "weights/mapped_file.h"

#include "check.h"

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "runtime/weights/scratch.h"

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

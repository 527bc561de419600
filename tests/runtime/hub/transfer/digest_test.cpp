#include "hub/transfer/digest.h"

#include "check.h"
#include "runtime/weights/scratch.h"

using namespace emulsion;

namespace {

std::string hash_of(std::size_t digits, std::string_view text) {
  Digest digest(std::string(digits, '0'), static_cast<Bytes>(text.size()));
  digest.add(text.substr(0, 1));
  digest.add(text.substr(1));
  return digest.hexadecimal();
}

}  // namespace

TEST_CASE("large files are told by SHA-256, others by git's hash of a blob") {
  // printf abc | sha256sum; printf abc | git hash-object --stdin
  CHECK(hash_of(64, "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hash_of(40, "abc") == "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f");
}

TEST_CASE("a file is hashed as its bytes are, and can be left off") {
  const Scratch scratch;
  const auto file = scratch.write("a", "abc");
  Digest digest(std::string(40, '0'), 3);
  CHECK(digest.add_file(file, [] {}) == 3);
  CHECK(digest.hexadecimal() == hash_of(40, "abc"));
  CHECK(Digest(std::string(40, '0'), 0).add_file(scratch.folder() / "none", [] {}) == 0);
  CHECK_THROWS_AS(digest.add_file(file, [] { throw 1; }), int);
}

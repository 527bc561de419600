#include "hub/transfer/file_lock.h"

#include "check.h"
#include "runtime/weights/scratch.h"

using namespace emulsion;

TEST_CASE("a lock is waited for as long as somebody else holds it") {
  const Scratch scratch;
  const auto file = scratch.folder() / "a.lock";
  int waits = 0;
  const auto impatient = [&] {
    if (++waits == 2) throw waits;
  };
  {
    const FileLock held(file, impatient);
    CHECK(waits == 0);
    CHECK_THROWS_AS(FileLock(file, impatient), int);
  }
  waits = 0;
  const FileLock again(file, impatient);
  CHECK(waits == 0);
}

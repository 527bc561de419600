#include "memory/kept_blocks.h"

#include "check.h"

namespace emulsion {
namespace {

// Blocks are numbers that lie in an array; those that were freed are negative.
int numbers[8];

void forget(void* data) { *static_cast<int*>(data) = -1; }

KeptBlocks::Block block(int index, std::size_t size) {
  numbers[index] = index;
  return {&numbers[index], size};
}

bool is_freed(int index) { return numbers[index] < 0; }

TEST_CASE("a block is given to whom it fits without leaving an eighth unused") {
  KeptBlocks kept(&forget);
  kept.keep(block(0, 800), 10000);
  kept.keep(block(1, 1000), 10000);
  CHECK(kept.bytes() == 1800);
  CHECK(kept.take(1001).data == nullptr);
  CHECK(kept.take(600).data == nullptr);
  const KeptBlocks::Block found = kept.take(780);
  CHECK(found.data == &numbers[0]);
  CHECK(found.size == 800);
  CHECK(kept.bytes() == 1000);
  CHECK(kept.take(800).data == nullptr);
  CHECK(kept.take(1000).data == &numbers[1]);
  CHECK_FALSE(is_freed(0));
}

TEST_CASE("of several that fit, the smallest is given") {
  KeptBlocks kept(&forget);
  kept.keep(block(0, 1000), 10000);
  kept.keep(block(1, 960), 10000);
  CHECK(kept.take(950).data == &numbers[1]);
}

TEST_CASE("what there is no room for is freed, the block kept longest first") {
  KeptBlocks kept(&forget);
  kept.keep(block(0, 400), 1000);
  kept.keep(block(1, 500), 1000);
  kept.keep(block(2, 450), 1000);
  CHECK(is_freed(0));
  CHECK_FALSE(is_freed(1));
  CHECK(kept.bytes() == 950);
  kept.shrink(460);
  CHECK(is_freed(1));
  CHECK(kept.bytes() == 450);
  kept.keep(block(3, 100), -1);
  CHECK(is_freed(2));
  CHECK(is_freed(3));
  CHECK(kept.bytes() == 0);
}

}  // namespace
}  // namespace emulsion

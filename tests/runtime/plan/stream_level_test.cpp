#include "plan/stream_level.h"

#include "check.h"

using namespace emulsion;

TEST_CASE("the first level holds everything, and each next one holds less and streams more") {
  const std::vector<Bytes> blocks{7, 3, 9, 4, 4, 8};
  for (const bool prefetch : {true, false}) {
    const auto levels = stream_levels(40, blocks, prefetch);
    CHECK(levels.front() == StreamLevel{.held = 40, .prefetch = prefetch});
    for (std::size_t i = 1; i < levels.size(); ++i) {
      CHECK(levels[i].held < levels[i - 1].held);
      CHECK(levels[i].streamed > levels[i - 1].streamed);
    }
  }
}

TEST_CASE("the leanest level holds what lasts and its window of blocks") {
  const std::vector<Bytes> blocks{5, 5, 5, 5};
  CHECK(stream_levels(30, blocks, false).back().held == 10 + 5);
  CHECK(stream_levels(30, blocks, true).back().held == 10 + 10);
}

TEST_CASE("the last block and the first are there together, since the work goes round") {
  const auto levels = stream_levels(24, {8, 2, 2, 8}, true);
  for (const StreamLevel& level : levels)
    if (level.blocks == std::vector<std::size_t>{0, 1, 2, 3}) CHECK(level.held == 4 + 16);
}

TEST_CASE("weights without blocks have one level") {
  CHECK(stream_levels(10, {}, true).size() == 1);
}

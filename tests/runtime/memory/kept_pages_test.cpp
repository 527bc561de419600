#include "memory/kept_pages.h"

#include <algorithm>
#include <array>
#include "check.h"

namespace emulsion {
namespace {

// Bytes stand for memory; those that were released are marked.
std::array<std::byte, 64> memory;
constexpr std::byte kReleased{1};

void mark(std::byte* first, std::size_t size) { std::fill_n(first, size, kReleased); }

std::byte* at(std::size_t place) { return &memory[place]; }

std::int64_t released() { return std::ranges::count(memory, kReleased); }

struct Kept : KeptPages {
  explicit Kept(std::size_t unit = 1) : KeptPages(unit, &mark) { memory.fill({}); }
};

constexpr Bytes kRoom = 1000;

TEST_CASE("what is taken is the beginning of the smallest range that has room") {
  Kept kept;
  kept.keep(at(0), 20, kRoom);
  kept.keep(at(30), 10, kRoom);
  CHECK(kept.bytes() == 30);
  CHECK(kept.take(8) == at(30));
  CHECK(kept.take(8) == at(0));
  CHECK(kept.take(8) == at(8));
  CHECK(kept.bytes() == 6);
  CHECK(kept.take(8) == nullptr);
  CHECK(kept.take(4) == at(16));
  CHECK(kept.take(2) == at(38));
  CHECK(kept.bytes() == 0);
  CHECK(released() == 0);
}

TEST_CASE("ranges that lie side by side become one, whatever came first") {
  Kept kept;
  kept.keep(at(10), 10, kRoom);
  kept.keep(at(30), 10, kRoom);
  CHECK(kept.take(11) == nullptr);
  kept.keep(at(20), 10, kRoom);
  CHECK(kept.take(30) == at(10));
  kept.keep(at(0), 10, kRoom);
  kept.keep(at(10), 30, kRoom);
  CHECK(kept.take(40) == at(0));
}

TEST_CASE("what there is no room for is released, the ends of the smallest ranges first") {
  Kept kept;
  kept.keep(at(0), 20, kRoom);
  kept.keep(at(30), 10, kRoom);
  kept.shrink(26);
  CHECK(released() == 4);
  CHECK(memory[35] != kReleased);
  CHECK(memory[36] == kReleased);
  kept.shrink(15);
  CHECK(released() == 15);
  CHECK(memory[15] == kReleased);
  CHECK(kept.take(15) == at(0));
  kept.keep(at(0), 15, -1);
  CHECK(released() == 30);
  CHECK(kept.bytes() == 0);
}

TEST_CASE("whole units are released") {
  Kept kept(8);
  kept.keep(at(0), 32, 20);
  CHECK(released() == 16);
  CHECK(kept.bytes() == 16);
}

}  // namespace
}  // namespace emulsion

#include "plan/residency.h"

#include "check.h"

using namespace emulsion;

namespace {

constexpr ComponentId kA{0}, kB{1}, kC{2};

}  // namespace

TEST_CASE("what is used furthest in the future leaves first") {
  const std::vector<ResidencyNeed> units{{{kA}, 0}, {{kB}, 0}, {{kC}, 0}, {{kB}, 0}, {{kA}, 0}};
  const auto changes = plan_residency(units, {4, 4, 4}, 8);
  CHECK((changes[2].evict == std::vector{kA}));  // B is needed sooner
  CHECK((changes[2].load == std::vector{kC}));
  CHECK((changes[2].release == std::vector{kC}));
  CHECK(changes[3].load.empty());
  CHECK((changes[4].load == std::vector{kA}));
}

TEST_CASE("weights stay from use to use where there is room") {
  const std::vector<ResidencyNeed> units{{{kA}, 0}, {{kB}, 0}, {{kA}, 0}};
  const auto changes = plan_residency(units, {4, 4}, 8);
  CHECK(changes[1].evict.empty());
  CHECK(changes[2].load.empty());
  CHECK(changes[2].resident == 4);  // B is gone by then
}

TEST_CASE("transient bytes push out weights that are needed later") {
  const std::vector<ResidencyNeed> units{{{kA}, 1}, {{kB}, 5}, {{kA}, 1}};
  const auto changes = plan_residency(units, {4, 4}, 10);
  CHECK((changes[1].evict == std::vector{kA}));
  CHECK((changes[2].load == std::vector{kA}));
}

TEST_CASE("no unit ever exceeds the capacity when each fits by itself") {
  std::uint32_t state = 7;
  const auto random = [&](std::uint32_t below) {
    state = state * 1664525u + 1013904223u;
    return (state >> 16) % below;
  };
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<Bytes> bytes;
    for (int i = 0; i < 4; ++i) bytes.push_back(1 + random(9));
    std::vector<ResidencyNeed> units;
    Bytes capacity = 0;
    for (int u = 0; u < 8; ++u) {
      units.push_back({{ComponentId{random(4)}, ComponentId{random(4)}}, random(6)});
      capacity = std::max(capacity, bytes_of(units.back(), bytes));
    }
    const auto changes = plan_residency(units, bytes, capacity);
    for (std::size_t u = 0; u < units.size(); ++u)
      REQUIRE(changes[u].resident + units[u].transient <= capacity);
  }
}

TEST_CASE("a loop pins the largest weights that leave room for the others in turn") {
  const std::vector<ResidencyNeed> body{{{kA}, 1}, {{kB}, 1}, {{kC}, 1}};
  CHECK((pinned_in_loop(body, {5, 3, 2}, 11) == std::set{kA, kB, kC}));
  CHECK((pinned_in_loop(body, {5, 3, 2}, 10) == std::set{kA}));
  CHECK((pinned_in_loop(body, {5, 3, 2}, 6) == std::set<ComponentId>{}));
}

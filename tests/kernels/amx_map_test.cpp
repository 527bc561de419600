#include "kernels/amx_map.h"

#include <set>
#include <vector>
#include "check.h"

namespace emulsion::kernels {
namespace {

// The first pixel's row or column that meets a kernel, for a result's.
std::int64_t origin(MapChange change, std::int64_t result) {
  switch (change) {
    case MapChange::None: return result - 1;
    case MapChange::Doubled: return (result + 1) / 2 - 1;
    case MapChange::Halved: return 2 * result - 1;
    case MapChange::HalvedAtEnd: return 2 * result;
  }
  return 0;
}

// A map whose numbers are all different, and none of them zero.
std::vector<Bfloat16Bits> numbers(const AmxMap& map) {
  std::vector<Bfloat16Bits> all;
  for (std::int64_t i = 0; i < map.batch * map.height * map.width * map.channels; ++i)
    all.push_back(static_cast<Bfloat16Bits>(i + 1));
  return all;
}

Bfloat16Bits pixel(const AmxMap& map, std::int64_t sample, std::int64_t row, std::int64_t column) {
  if (row < 0 || row >= map.height || column < 0 || column >= map.width) return {};
  const std::int64_t at = (sample * map.height + row) * map.width + column;
  return static_cast<Bfloat16Bits>(at * map.channels + 1);
}

// Of rows first ... first + count - 1: what lies under each tap, and that no result comes twice.
void check_band(const AmxMap& map, std::int64_t first, std::int64_t count,
                std::set<std::int32_t>& results) {
  const MapGrid grid(map);
  std::vector<Bfloat16Bits> copy(static_cast<std::size_t>(grid.copied() * map.channels));
  grid.copy(numbers(map).data(), first, count, nullptr, copy.data());
  const std::int64_t side = map.change == MapChange::Doubled ? 2 : 3;
  for (const AmxTaps& group : grid.taps(first, count)) {
    REQUIRE(static_cast<std::int64_t>(group.places.size()) == grid.places(count));
    for (std::size_t place = 0; place < group.places.size(); ++place) {
      const std::int32_t result = group.places[place];
      if (result < 0) continue;
      CHECK(results.insert(result).second);
      const std::int64_t across = map.result_width(), row = result / across % map.result_height(),
                         sample = result / across / map.result_height();
      for (std::size_t tap = 0; tap < group.begins.size(); ++tap) {
        const auto at = static_cast<std::int64_t>(place) * grid.step() * map.channels;
        const auto down = static_cast<std::int64_t>(tap) / side,
                   right = static_cast<std::int64_t>(tap) % side;
        CHECK((copy[static_cast<std::size_t>(at + group.begins[tap])] ==
               pixel(map, sample, origin(map.change, row) + down,
                     origin(map.change, result % across) + right)));
      }
    }
  }
}

constexpr MapChange kChanges[] = {MapChange::None, MapChange::Doubled, MapChange::Halved,
                                  MapChange::HalvedAtEnd};

TEST_CASE("under each tap of a band lies the pixel of the definition, or a zero") {
  for (const MapChange change : kChanges)
    for (const std::int64_t side : {4, 5}) {
      const AmxMap map{2, side, 9 - side, 3, change};
      const std::int64_t rows = MapGrid(map).rows();
      for (const std::int64_t count : {rows, std::int64_t{2}}) {
        std::set<std::int32_t> results;
        for (std::int64_t first = 0; first < rows; first += count)
          check_band(map, first, std::min(count, rows - first), results);
        CHECK(static_cast<std::int64_t>(results.size()) ==
              map.batch * map.result_height() * map.result_width());
      }
    }
}

}  // namespace
}  // namespace emulsion::kernels

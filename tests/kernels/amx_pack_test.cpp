#include "kernels/amx_pack.h"

#include <bit>
#include <vector>
#include "check.h"

#include "fakes/bfloat16.h"
#include "kernels/amx_product.h"

namespace emulsion::kernels {
namespace {

bool is_there() { return amx_takes(at::kBFloat16, 64, 32, 32); }

// The number of a channel in a panel of pairs [channels / 2, 16].
float number_at(const float* panel, std::int64_t channel, std::int64_t row) {
  const auto word = std::bit_cast<std::uint32_t>(panel[channel / 2 * 16 + row]);
  return widened(static_cast<Bfloat16Bits>(channel % 2 == 0 ? word & 0xFFFFU : word >> 16));
}

// Small whole numbers, which bfloat16 and sums of four of them hold.
float weight(std::int64_t row, std::int64_t channel, std::int64_t tap) {
  return static_cast<float>((row * 7 + channel * 3 + tap * 5) % 31 - 15);
}

std::vector<Bfloat16Bits> kernels(std::int64_t channels, std::int64_t taps) {
  std::vector<Bfloat16Bits> numbers;
  for (std::int64_t row = 0; row < 16; ++row)
    for (std::int64_t channel = 0; channel < channels; ++channel)
      for (std::int64_t tap = 0; tap < taps; ++tap)
        numbers.push_back(fakes::bits_of(weight(row, channel, tap)));
  numbers.resize(numbers.size() + 512);  // what is fetched ahead
  return numbers;
}

TEST_CASE("rows of a weight become pairs of their columns") {
  if (!is_there()) return;
  constexpr std::int64_t kDepth = 64;
  const std::vector<Bfloat16Bits> rows = kernels(kDepth, 1);
  std::vector<float> panel(kDepth / 2 * 16);
  pack_rows_amx(rows.data(), kDepth, kDepth, panel.data());
  for (std::int64_t row = 0; row < 16; ++row)
    for (std::int64_t k = 0; k < kDepth; ++k)
      CHECK(number_at(panel.data(), k, row) == weight(row, k, 0));
}

TEST_CASE("taps of kernels come apart") {
  if (!is_there()) return;
  constexpr std::int64_t kChannels = 64, kTap = kChannels / 2 * 16;
  std::vector<float> panel(9 * kTap);
  pack_kernels_amx(kernels(kChannels, 9).data(), kChannels, kChannels, panel.data());
  for (std::int64_t tap = 0; tap < 9; ++tap)
    for (std::int64_t channel = 0; channel < kChannels; ++channel)
      CHECK(number_at(panel.data() + tap * kTap, channel, 5) == weight(5, channel, tap));
}

TEST_CASE("taps that meet the same pixel of a map before it is doubled are added up") {
  if (!is_there()) return;
  constexpr std::int64_t kChannels = 32, kTap = kChannels / 2 * 16;
  std::vector<float> panel(16 * kTap);
  pack_halves_amx(kernels(kChannels, 9).data(), kChannels, kChannels, panel.data());
  // Where a tap falls for a result in the first or second half of a pixel.
  const auto pixel = [](std::int64_t half, std::int64_t tap) {
    return (half + tap + 1) / 2 - half;
  };
  for (std::int64_t result = 0; result < 4; ++result)
    for (std::int64_t at = 0; at < 4; ++at)
      for (std::int64_t channel = 0; channel < kChannels; ++channel) {
        float sum = 0;
        for (std::int64_t tap = 0; tap < 9; ++tap)
          if (pixel(result / 2, tap / 3) == at / 2 && pixel(result % 2, tap % 3) == at % 2)
            sum += weight(3, channel, tap);
        CHECK(number_at(panel.data() + (result * 4 + at) * kTap, channel, 3) == sum);
      }
}

TEST_CASE("columns of neighbouring rows become pairs, with zeros for what is not there") {
  if (!is_there()) return;
  constexpr std::int64_t kRows = 5, kPadded = 8, kColumns = 11, kStride = 20;
  std::vector<Bfloat16Bits> rows;
  for (std::int64_t i = 0; i < kRows * kStride; ++i)
    rows.push_back(fakes::bits_of(weight(i, 1, 1)));
  std::vector<float> panel(kPadded / 2 * 16, 99);
  pack_pairs_amx(rows.data(), kStride, kRows, kPadded, kColumns, panel.data());
  for (std::int64_t row = 0; row < kPadded; ++row)
    for (std::int64_t column = 0; column < 16; ++column) {
      const bool is_number = row < kRows && column < kColumns;
      CHECK(number_at(panel.data(), row, column) ==
            (is_number ? weight(row * kStride + column, 1, 1) : 0));
    }
}

}  // namespace
}  // namespace emulsion::kernels

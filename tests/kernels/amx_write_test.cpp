#include "kernels/amx_write.h"

#include <array>
#include <cmath>
#include <vector>
#include "check.h"

#include "fakes/bfloat16.h"
#include "kernels/amx_product.h"

namespace emulsion::kernels {
namespace {

constexpr std::int64_t kOut = 64, kColumn = 32;  // of y: its second half is written

bool is_there() { return amx_takes(at::kBFloat16, 64, 32, 32); }

// Small whole numbers, which bfloat16 holds as well as their sums.
std::vector<float> numbers(std::int64_t count, int seed) {
  std::vector<float> x;
  for (std::int64_t i = 0; i < count; ++i)
    x.push_back(static_cast<float>((i * 7 + seed * 11) % 23 - 11));
  return x;
}

struct Fixture {
  std::vector<float> sums = numbers(6 * 32, 1), bias = numbers(3 * kOut, 2);
  std::vector<Bfloat16Bits> y = std::vector<Bfloat16Bits>(8 * kOut, fakes::bits_of(99));

  float sum(std::int64_t place, std::int64_t column) const {
    return sums[static_cast<std::size_t>(place * 32 + column)];
  }
  float bias_at(std::int64_t row, std::int64_t column) const {
    return bias[static_cast<std::size_t>(row * kOut + kColumn + column)];
  }
  float result(std::int64_t row, std::int64_t column) const {
    return widened(y[static_cast<std::size_t>(row * kOut + column)]);
  }
};

AmxSums sums_of(const Fixture& all, const std::int32_t* places = nullptr) {
  return {.first = all.sums.data(),
          .stride = 32,
          .gates = 0,
          .place = 1,
          .count = 6,
          .column = kColumn,
          .places = places};
}

TEST_CASE("sums get their bias and go to their rows, and nothing else is touched") {
  if (!is_there()) return;
  Fixture all;
  write_amx(sums_of(all), {.y = all.y.data(), .bias = all.bias.data()}, kOut);
  for (std::int64_t row = 0; row < 8; ++row)
    for (std::int64_t c = 0; c < 32; ++c) {
      const bool is_written = row >= 1 && row < 7;
      CHECK(all.result(row, c) == 99);
      CHECK(all.result(row, kColumn + c) ==
            (is_written ? all.sum(row - 1, c) + all.bias_at(0, c) : 99));
    }
}

TEST_CASE("places without a row are left out, and a row has its sample's bias") {
  if (!is_there()) return;
  Fixture all;
  const std::array<std::int32_t, 7> places = {-1, 0, 1, -1,
                                              3,  5, -1};  // the first is not asked for
  write_amx(sums_of(all, places.data()),
            {.y = all.y.data(), .bias = all.bias.data(), .rows_a_bias = 2}, kOut);
  for (std::int64_t c = 0; c < 32; ++c) {
    CHECK(all.result(0, kColumn + c) == all.sum(0, c) + all.bias_at(0, c));
    CHECK(all.result(1, kColumn + c) == all.sum(1, c) + all.bias_at(0, c));
    CHECK(all.result(2, kColumn + c) == 99);
    CHECK(all.result(3, kColumn + c) == all.sum(3, c) + all.bias_at(1, c));
    CHECK(all.result(5, kColumn + c) == all.sum(4, c) + all.bias_at(2, c));
  }
}

TEST_CASE("what is there already may be added") {
  if (!is_there()) return;
  Fixture all;
  write_amx(sums_of(all), {.y = all.y.data(), .bias = all.bias.data(), .added = all.y.data()},
            kOut);
  for (std::int64_t c = 0; c < 32; ++c)
    CHECK(all.result(2, kColumn + c) == all.sum(1, c) + all.bias_at(0, c) + 99);
}

TEST_CASE("gates are the gelu of theirs to what bfloat16 keeps") {
  if (!is_there()) return;
  constexpr std::int64_t kRows = 128, kWide = 32;
  std::vector<float> sums, zeros(2 * kWide);
  for (std::int64_t i = 0; i < kRows; ++i)
    for (std::int64_t c = 0; c < 2 * kWide; ++c)
      sums.push_back(c < kWide ? 1 : static_cast<float>(i * kWide + c - kWide - 2048) / 128);
  std::vector<Bfloat16Bits> y(kRows * kWide);
  write_amx({.first = sums.data(),
             .stride = 2 * kWide,
             .gates = kWide,
             .place = 0,
             .count = kRows,
             .column = 0,
             .places = nullptr},
            {.y = y.data(), .bias = zeros.data()}, kWide);
  for (std::int64_t i = 0; i < kRows * kWide; ++i) {
    const double x = static_cast<double>(i - 2048) / 128,
                 wanted = x / 2 * std::erfc(-x / std::sqrt(2));
    CHECK(std::abs(widened(y[static_cast<std::size_t>(i)]) - wanted) <=
          std::abs(wanted) / 250 + 2e-5);
  }
}

}  // namespace
}  // namespace emulsion::kernels

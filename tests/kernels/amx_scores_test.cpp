#include "kernels/amx_scores.h"

#include <array>
#include <cmath>
#include <limits>
#include <vector>
#include "check.h"

#include "fakes/bfloat16.h"
#include "kernels/amx_attention.h"
#include "kernels/amx_pack.h"

namespace emulsion::kernels {
namespace {

constexpr std::int64_t kWidth = 32, kKeys = 40, kPadded = 64, kStride = 96;
constexpr float kScale = 0.25F;

bool is_there() { return amx_attends(at::kBFloat16); }

// Small whole numbers, which bfloat16 and sums of 32 of their products hold.
float number(std::int64_t row, std::int64_t column, int seed) {
  return static_cast<float>((row * 5 + column * 3 + seed) % 7 - 3);
}

std::vector<Bfloat16Bits> rows(std::int64_t count, int seed) {
  std::vector<Bfloat16Bits> numbers;
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t c = 0; c < kWidth; ++c) numbers.push_back(fakes::bits_of(number(i, c, seed)));
  numbers.resize(numbers.size() + 512);  // what is fetched ahead
  return numbers;
}

struct Fixture {
  std::vector<Bfloat16Bits> queries = rows(kAmxQueries, 1), numbers = rows(kPadded, 2);
  std::vector<float> keys = std::vector<float>(kPadded * kWidth / 2);
  std::vector<Bfloat16Bits> weights = std::vector<Bfloat16Bits>(kAmxQueries * kStride);
  std::array<float, kAmxQueries> highest;
  AmxTiles tiles;

  Fixture() {
    highest.fill(std::numeric_limits<float>::lowest());
    for (std::int64_t s = 0; s < kPadded; s += 16)
      pack_rows_amx(numbers.data() + s * kWidth, kWidth, kWidth, keys.data() + s * kWidth / 2);
  }

  AmxScores scores() const {
    return {.queries = queries.data(),
            .keys = keys.data(),
            .width = kWidth,
            .count = kKeys,
            .padded = kPadded,
            .scale = kScale};
  }
  static float score(std::int64_t query, std::int64_t key) {
    float sum = 0;
    for (std::int64_t c = 0; c < kWidth; ++c) sum += number(query, c, 1) * number(key, c, 2);
    return kScale * sum;
  }
  static float highest_of(std::int64_t query, std::int64_t keys) {
    float most = score(query, 0);
    for (std::int64_t key = 1; key < keys; ++key) most = std::max(most, score(query, key));
    return most;
  }
  float weight(std::int64_t query, std::int64_t key) const {
    return widened(weights[static_cast<std::size_t>(query * kStride + key)]);
  }
};

TEST_CASE("the highest score is that of all keys that there are, or of the first block") {
  if (!is_there()) return;
  Fixture all, first;
  raise_amx(all.scores(), all.highest.data());
  raise_and_weigh_amx(first.scores(), first.highest.data(), first.weights.data(), kStride);
  for (std::int64_t i = 0; i < kAmxQueries; ++i) {
    const auto at = static_cast<std::size_t>(i);
    CHECK(all.highest[at] == Fixture::highest_of(i, kKeys));
    CHECK(first.highest[at] == Fixture::highest_of(i, kAmxKeyBlock));
  }
}

TEST_CASE("weights are powers of two, rounded, and nothing for padding") {
  if (!is_there()) return;
  Fixture all;
  all.highest.fill(2);
  weigh_amx(all.scores(), all.highest.data(), all.weights.data(), kStride);
  for (std::int64_t i = 0; i < kAmxQueries; ++i)
    for (std::int64_t key = 0; key < kPadded; ++key) {
      const float wanted = key < kKeys ? std::exp2(Fixture::score(i, key) - 2) : 0;
      CHECK(std::abs(all.weight(i, key) - wanted) <= wanted / 256 + wanted * 7.5e-5F);
    }
}

TEST_CASE("values are summed up with their weights, and so are these alone") {
  if (!is_there()) return;
  constexpr std::int64_t kColumns = 48;  // panels by twos, and one
  Fixture all;
  all.highest.fill(2);
  weigh_amx(all.scores(), all.highest.data(), all.weights.data(), kStride);
  std::vector<float> panels(kColumns / 16 * kPadded / 2 * 16), sums(kAmxQueries * kColumns, 1),
      together(kAmxQueries * kAmxSumColumns, 1);
  for (std::int64_t c = 0; c < kColumns; c += 16) {
    // Column c of the values is column c % 32 of the keys.
    pack_pairs_amx(all.numbers.data() + c % kWidth, kWidth, kKeys, kPadded, 16,
                   panels.data() + c * kPadded / 2);
  }
  add_values_amx(all.weights.data(), kStride, kPadded,
                 {.panels = panels.data(),
                  .distance = kPadded / 2 * 16,
                  .columns = kColumns,
                  .sums = sums.data(),
                  .together = together.data()});
  for (std::int64_t i = 0; i < kAmxQueries; ++i) {
    double weights = 1;
    for (std::int64_t key = 0; key < kKeys; ++key) weights += all.weight(i, key);
    CHECK(together[static_cast<std::size_t>(i * kAmxSumColumns)] ==
          doctest::Approx(weights).epsilon(1e-5));
    for (std::int64_t c = 0; c < kColumns; ++c) {
      double sum = 1;
      for (std::int64_t key = 0; key < kKeys; ++key)
        sum += all.weight(i, key) * number(key, c % kWidth, 2);
      CHECK(sums[static_cast<std::size_t>(i * kColumns + c)] ==
            doctest::Approx(sum).epsilon(1e-5).scale(weights));
    }
  }
}

}  // namespace
}  // namespace emulsion::kernels

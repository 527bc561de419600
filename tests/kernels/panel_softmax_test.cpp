#include "kernels/panel_softmax.h"

#include <algorithm>
#include <cmath>
#include <vector>
#include "check.h"

#include "kernels/vector_math.h"

namespace emulsion::kernels {
namespace {

constexpr std::int64_t kCount = 90, kPadded = 96, kWidth = 32;
constexpr float kScale = 0.125F, kLowest = -3e38F;

std::vector<float> scores_of(float offset) {
  std::vector<float> scores;
  for (std::int64_t i = 0; i < kPadded; ++i)
    scores.push_back(offset + static_cast<float>(i * 37 % 101));
  return scores;
}

// What is left of the scores as weights.
float weight_at(const std::vector<float>& scores, std::size_t i, Words words) {
  if (words == Words::Floats) return scores[i];
  return widened(reinterpret_cast<const Bfloat16Bits*>(scores.data())[i]);
}

// Weights of two rows one after the other, of which the second has the higher scores.
void check_weights(Words words, double tolerance) {
  std::vector<float> first = scores_of(0), second = scores_of(40), values(kWidth, 1);
  double highest = 0, sum = 0, before = 0;
  for (std::int64_t i = 0; i < kCount; ++i)
    highest = std::max<double>(highest, kScale * second[static_cast<std::size_t>(i)]);
  std::vector<double> wanted;
  for (std::size_t i = 0; i < kCount; ++i) {
    wanted.push_back(std::exp(kScale * second[i] - highest));
    before += std::exp(kScale * first[i] - highest);
    sum += wanted.back();
  }
  Seen seen{kLowest, 0};
  for (std::vector<float>* scores : {&first, &second})
    weigh({scores->data(), kCount, kPadded, kScale, values.data(), kWidth}, words, seen);
  CHECK(seen.highest == doctest::Approx(highest));
  CHECK(seen.sum == doctest::Approx(before + sum).epsilon(tolerance));
  CHECK(values.front() < 1e-37F);  // of the row before the first, whose scores were the lowest
  for (std::size_t i = 0; i < kCount; ++i)
    CHECK(std::abs(weight_at(second, i, words) - wanted[i]) <= tolerance * wanted[i]);
  for (std::size_t i = kCount; i < kPadded; ++i) CHECK(weight_at(second, i, words) < 1e-37F);
}

TEST_CASE("scores become weights of a softmax that goes on from row to row") {
  check_weights(Words::Floats, 2e-6);
}

TEST_CASE("weights in pairs are those of the definition to what bfloat16 keeps") {
  if (has_panel_tiles(Words::BfloatPairs)) check_weights(Words::BfloatPairs, 1.0 / 250);
}

}  // namespace
}  // namespace emulsion::kernels

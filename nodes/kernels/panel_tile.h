#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>

namespace emulsion::kernels {

// The inner loop of products of panels, whose sums stay in registers, in float32.  Sixteen columns
// of what rows are multiplied with lie side by side in a panel.

inline constexpr std::int64_t kPanelColumns = 16;
// Rows are multiplied so many at a time; fewer cost as much.
inline constexpr std::int64_t kTileRows = 12;

// What 32 bits of a row and of a panel hold: a float32, or two bfloat16 that are neighbours in the
// depth.
enum class Words : std::uint8_t { Floats, BfloatPairs };

// Words that so many numbers take; an even number where they are pairs.
constexpr std::int64_t in_words(Words words, std::int64_t numbers) {
  return words == Words::Floats ? numbers : numbers / 2;
}

// y [count, panels * 16] = rows [count, depth] times panels [panels, depth, 16], both of words.
struct PanelProduct {
  const void* const* rows;
  std::int64_t count;
  const float* panel;
  std::int64_t panels, distance;  // from one panel to the next
  std::int64_t depth;
  float* y;
  std::int64_t stride;          // of y
  bool adds = false;            // to what y holds
  const float* bias = nullptr;  // [panels * 16], what each row begins with otherwise, or 0
};

// Whether the processor has the instructions: AVX2 or AVX-512, for pairs those for bfloat16.
// [any thread]
bool has_panel_tiles(Words words = Words::Floats);

// What numbers of a type are multiplied as, so many of them in a row: pairs where there are, and
// where their products are faster than those of what they hold in float32.  They are twice as fast
// on AMD's processors; Intel's start one of them in the time of four of the others.  [any thread]
Words words_of(c10::ScalarType dtype, std::int64_t numbers);

// Whether they have to become float32 for that.  [any thread]
bool is_widened(c10::ScalarType dtype, std::int64_t numbers);

void multiply(const PanelProduct& product, Words words = Words::Floats);  // [any thread]

// Floats, a multiple of 16, become pairs in place, where the processor multiplies these.
void pair_up(float* x, std::int64_t count);  // [any thread]

}  // namespace emulsion::kernels

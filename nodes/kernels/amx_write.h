#pragma once

#include <cstdint>

#include "kernels/vector_math.h"

// What becomes of the sums that tile registers give: a bias and others are added, or they are
// gated, before they are rounded.
namespace emulsion::kernels {

inline constexpr std::int64_t kWrittenColumns = 32;  // at a time

// What a product gives: y [rows, out] = rows times weight + bias + added.
struct AmxResult {
  void* y;
  const float* bias;             // [rows / rows_a_bias, out]
  std::int64_t rows_a_bias = 0;  // 0: all rows have the same
  const void* added = nullptr;   // as y, which it may be; not with gates
};

// Sums of kWrittenColumns, from `column` on, for places `place` ... `place` + count - 1.
struct AmxSums {
  const float* first;
  std::int64_t stride;  // from one place to the next
  std::int64_t gates;   // how far behind its value a gate is; 0: there are none
  std::int64_t place, count, column;
  const std::int32_t* places;  // row of y of each place, -1 for none; null: as they come
};

// Columns of y are `out`; the biases of gates are as far behind those of values.
void write_amx(const AmxSums& sums, const AmxResult& result, std::int64_t out);

}  // namespace emulsion::kernels

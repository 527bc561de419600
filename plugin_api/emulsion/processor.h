#pragma once

#include <cstdint>

#include "emulsion/export.h"

namespace emulsion {

// How this machine's processor does convolutions and matrix products of bfloat16.
enum class Bfloat16 : std::uint8_t {
  None,      // LibTorch has only a loop of single numbers: float32 is a hundred times as fast
  Widened,   // oneDNN's kernels, about as fast as in float32
  Supported  // faster than float32
};

// [any thread]
EMULSION_API Bfloat16 bfloat16_products();

}  // namespace emulsion

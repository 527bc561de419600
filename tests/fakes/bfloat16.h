#pragma once

#include "kernels/vector_math.h"

namespace emulsion::fakes {

// x, rounded.
inline kernels::Bfloat16Bits bits_of(float x) {
  kernels::Bfloat16Bits bits{};
  kernels::narrow(x, bits);
  return bits;
}

}  // namespace emulsion::fakes

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

// True where products of half types are done in tile registers (AMX), for which LibTorch's
// attention packs keys and values.  [any thread]
EMULSION_API bool has_tile_products();

// How many threads LibTorch computes with.  Where it is not loaded yet, what it will take unless it
// is told otherwise: MKL_NUM_THREADS, else OMP_NUM_THREADS, else one for each core that this
// process may use.  [any thread]
EMULSION_API int thread_count();

}  // namespace emulsion

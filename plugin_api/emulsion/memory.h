#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "emulsion/export.h"

namespace emulsion {

using Bytes = std::int64_t;

inline constexpr Bytes kKiB = 1024, kMiB = 1024 * kKiB, kGiB = 1024 * kMiB;

// What one run of a node needs on its device, in bytes.
struct MemoryEstimate {
  Bytes weights = 0;    // exact: summed from the safetensors header, in the dtype of the run
  Bytes outputs = 0;    // exact: multiplied out from the forecast shapes
  Bytes workspace = 0;  // the node's upper bound for temporaries in run(): the only guess
  Bytes memo = 0;       // what stays from one iteration of a loop to the next, an upper bound

  Bytes peak() const { return weights + outputs + workspace + memo; }
};

// "900 MiB", "3.46 GiB": three significant digits in the largest unit below the value. [any thread]
EMULSION_API std::string format_bytes(Bytes bytes);

// Reads "900MiB", "4GiB", "1.5GiB", "1024" (bytes).  Units B, KiB, MiB, GiB, TiB.
// Throws GraphError on anything else, on a negative and on a zero size.  [any thread]
EMULSION_API Bytes parse_bytes(std::string_view text);

}  // namespace emulsion

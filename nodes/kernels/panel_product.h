#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "emulsion/weights.h"
#include "kernels/panel_tile.h"

// Products on processors with AVX2 or AVX-512 but without tile registers: in float32, of bfloat16
// in pairs where these are faster (panel_tile.h), else widened.  Sixteen rows of a weight are
// brought side by side (a panel) on the way, in the cache of the thread that multiplies with them,
// so that weights lie in memory as in their file, in float32, in bfloat16 or packed.
namespace emulsion::kernels {

// Whether numbers of that type are multiplied so on this processor.  [any thread]
bool panels_hold(c10::ScalarType dtype);

// The longest segment, in words, that the caches of a processor are to hold for many rows.
inline constexpr std::int64_t kPanelSegment = 640;

// What is multiplied with a weight [columns, depth]: rows of words whose depth is cut into
// segments, each of which may lie elsewhere.
struct PanelRows {
  Words words = Words::Floats;  // pairs: of a weight in bfloat16
  std::int64_t count = 0, segments = 1;

  struct Segment {
    std::int64_t offset, length;  // in words of the depth
  };

  virtual ~PanelRows() = default;
  virtual Segment segment(std::int64_t index) const = 0;
  // The places of one segment in the rows first ... first + count - 1.
  virtual void fetch(std::int64_t segment, std::int64_t first, std::int64_t count,
                     const void** rows) const = 0;
};

struct PanelWeight {
  Weight matrix;                 // [columns, depth], float32 or bfloat16 or packed, contiguous
  at::Tensor bias;               // [columns] or undefined
  std::int64_t interleaved = 1;  // depth of the matrix is [depth / interleaved, interleaved], that
                                 // of rows the other way round; 1 where it is packed
  bool is_gated = false;         // columns are values and then gates, see gated.h; a multiple of
                                 // 32, and packed_panels() are more than one
};

// y [rows, columns] contiguous, float32 or bfloat16: its rows times the weight's, and the bias,
// which may be added to what y holds.  Of columns that are gated y has half; nothing is added to
// these.
void multiply_panels(const PanelRows& rows, const PanelWeight& weight, const at::Tensor& y,
                     bool adds = false);

// Panels that a thread packs at a time of a weight: one, or an even number if it has as many.
// Depths are in words.
std::int64_t packed_panels(std::int64_t columns, std::int64_t depth);

// Words that multiply_panels() allocates on so many threads, besides what unpacking takes.
std::int64_t panel_scratch(std::int64_t columns, std::int64_t depth, std::int64_t threads);

// Of each thread, where the matrix is packed.
std::int64_t unpacking_scratch();

}  // namespace emulsion::kernels

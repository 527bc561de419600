#include "kernels/gate_row.h"

#include "kernels/vector_lanes.h"

namespace emulsion::kernels {
namespace {

template <class From, class To>
EMULSION_INLINED void gate(const From* values, std::int64_t width, To* y) {
  for (std::int64_t c = 0; c < width; c += kWideLanes) {
    WideLanes value, gate;
    widen_lanes(values + c, value);
    widen_lanes(values + width + c, gate);
    gelu_lanes(gate);
    narrow_lanes(value * gate, y + c);
  }
}

}  // namespace

EMULSION_VECTOR_CLONES void gate_row(const float* values, std::int64_t width, float* y) {
  gate(values, width, y);
}
EMULSION_VECTOR_CLONES void gate_row(const float* values, std::int64_t width, Bfloat16Bits* y) {
  gate(values, width, y);
}
EMULSION_VECTOR_CLONES void gate_row(const Bfloat16Bits* values, std::int64_t width,
                                     Bfloat16Bits* y) {
  gate(values, width, y);
}

}  // namespace emulsion::kernels

#include "kernels/sum_row.h"

namespace emulsion::kernels {
namespace {

template <class Element>
EMULSION_INLINED void add(const Element* x, const float* more, std::int64_t count, float* y) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = widened(x[i]) + more[i];
}

template <class Element>
EMULSION_INLINED void narrow_all(const float* x, std::int64_t count, Element* y) {
  for (std::int64_t i = 0; i < count; ++i) narrow(x[i], y[i]);
}

}  // namespace

EMULSION_VECTOR_CLONES void add_row(const float* x, const float* more, std::int64_t count,
                                    float* y) {
  add(x, more, count, y);
}
EMULSION_VECTOR_CLONES void add_row(const Bfloat16Bits* x, const float* more, std::int64_t count,
                                    float* y) {
  add(x, more, count, y);
}

EMULSION_VECTOR_CLONES void narrow_row(const float* x, std::int64_t count, float* y) {
  narrow_all(x, count, y);
}
EMULSION_VECTOR_CLONES void narrow_row(const float* x, std::int64_t count, Bfloat16Bits* y) {
  narrow_all(x, count, y);
}

}  // namespace emulsion::kernels

#include "kernels/panel_pack.h"

#include <algorithm>

#include "kernels/panel_tile.h"
#include "kernels/panel_tile_avx512.h"
#include "kernels/vector_lanes.h"
#include "kernels/vector_turn.h"

namespace emulsion::kernels {
namespace {

// Where the columns of a matrix go in a panel, one after the other.
class PanelPlace {
 public:
  PanelPlace(std::int64_t depth, std::int64_t interleaved, std::int64_t column = 0)
      : outer_(depth / interleaved),
        interleaved_(interleaved),
        inner_(column % interleaved),
        place_(column / interleaved) {}

  EMULSION_INLINED std::int64_t next() {
    const std::int64_t at = inner_ * outer_ + place_;
    if (++inner_ == interleaved_) inner_ = 0, ++place_;
    return at * kPanelColumns;
  }

 private:
  std::int64_t outer_, interleaved_, inner_, place_;
};

// Both give back how much of the depth they have packed.
template <class Element>
EMULSION_AVX2 std::int64_t pack_avx2(const Element* from, std::int64_t columns, std::int64_t depth,
                                     std::int64_t interleaved, float* to) {
  const std::int64_t whole = depth / kLanes * kLanes;
  // Half of the rows at a time: so many streams through memory are fetched ahead.
  for (std::int64_t half = 0; half < kPanelColumns; half += kLanes) {
    PanelPlace place(depth, interleaved);
    for (std::int64_t k = 0; k < whole; k += kLanes) {
      Lanes v[kLanes];
      load_columns(from + half * depth + k, depth, columns - half, v);
      for (const Lanes& column : v) lanes_at(to + place.next() + half) = column;
    }
  }
  return whole;
}

#if defined(__x86_64__) && defined(__GNUC__)
EMULSION_AVX512 EMULSION_INLINED void store_turned(const __m512i* words, const float* /*type*/,
                                                   PanelPlace& place, float* to) {
  for (std::int64_t i = 0; i < kTurnedWords; ++i) _mm512_storeu_si512(to + place.next(), words[i]);
}

// A word has two neighbours of the depth.
EMULSION_AVX512 EMULSION_INLINED void store_turned(const __m512i* words,
                                                   const Bfloat16Bits* /*type*/, PanelPlace& place,
                                                   float* to) {
  const __m512i upper = _mm512_set1_epi32(-0x10000);
  for (std::int64_t i = 0; i < kTurnedWords; ++i) {
    _mm512_storeu_si512(to + place.next(), _mm512_slli_epi32(words[i], 16));
    _mm512_storeu_si512(to + place.next(), _mm512_and_si512(words[i], upper));
  }
}

template <class Element>
EMULSION_AVX512 std::int64_t pack_avx512(const Element* from, std::int64_t depth,
                                         std::int64_t interleaved, float* to) {
  constexpr auto kSize = static_cast<std::int64_t>(sizeof(Element));
  constexpr std::int64_t kAtOnce = kTurnedWords * 4 / kSize;
  const std::int64_t whole = depth / kAtOnce * kAtOnce;
  PanelPlace place(depth, interleaved);
  for (std::int64_t k = 0; k < whole; k += kAtOnce) {
    __m512i words[kTurnedWords];
    turn_words(reinterpret_cast<const char*>(from + k), depth * kSize, words);
    store_turned(words, from, place, to);
  }
  return whole;
}
#else
template <class Element>
std::int64_t pack_avx512(const Element* /*from*/, std::int64_t /*depth*/,
                         std::int64_t /*interleaved*/, float* /*to*/) {
  return 0;
}
#endif

template <class Element>
void pack(const Element* from, std::int64_t columns, std::int64_t depth, std::int64_t interleaved,
          float* to) {
  static const bool is_wide = has_avx512(Words::Floats);
  const std::int64_t packed = is_wide && columns == kPanelColumns
                                  ? pack_avx512(from, depth, interleaved, to)
                                  : pack_avx2(from, columns, depth, interleaved, to);
  PanelPlace place(depth, interleaved, packed);
  for (std::int64_t k = packed; k < depth; ++k) {
    float* const lane = to + place.next();
    for (std::int64_t n = 0; n < kPanelColumns; ++n)
      lane[n] = n < columns ? widened(from[n * depth + k]) : 0;
  }
}

}  // namespace

void pack_panel(const float* rows, std::int64_t columns, std::int64_t depth,
                std::int64_t interleaved, float* panel) {
  pack(rows, columns, depth, interleaved, panel);
}

void pack_panel(const Bfloat16Bits* rows, std::int64_t columns, std::int64_t depth,
                std::int64_t interleaved, float* panel) {
  pack(rows, columns, depth, interleaved, panel);
}

}  // namespace emulsion::kernels

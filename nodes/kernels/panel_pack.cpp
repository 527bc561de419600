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
  explicit PanelPlace(const PanelRange& range, std::int64_t column = 0)
      : outer_(range.depth / range.interleaved),
        interleaved_(range.interleaved),
        inner_(column % interleaved_),
        place_(column / interleaved_) {}

  EMULSION_INLINED std::int64_t next() {
    const std::int64_t at = inner_ * outer_ + place_;
    if (++inner_ == interleaved_) inner_ = 0, ++place_;
    return at;
  }

 private:
  std::int64_t outer_, interleaved_, inner_, place_;
};

// A panel as each kind of words has it: where it takes a number, or the turned words of a matrix.
struct FloatPanel {
  float* words;
  std::int64_t apart = kPanelColumns;

  template <class Element>
  void put(std::int64_t place, std::int64_t column, Element number) const {
    words[place * apart + column] = widened(number);
  }
};

struct PairPanel {
  float* words;

  void put(std::int64_t place, std::int64_t column, Bfloat16Bits number) const {
    auto* const halves = reinterpret_cast<Bfloat16Bits*>(words);
    halves[(place / 2 * kPanelColumns + column) * 2 + place % 2] = number;
  }
};

#if defined(__x86_64__) && defined(__GNUC__)
EMULSION_AVX512 EMULSION_INLINED void store_turned(const __m512i* words, const float* /*type*/,
                                                   PanelPlace& place, FloatPanel to) {
  for (std::int64_t i = 0; i < kTurnedWords; ++i)
    _mm512_storeu_si512(to.words + place.next() * to.apart, words[i]);
}

// A word has two neighbours of the depth.
EMULSION_AVX512 EMULSION_INLINED void store_turned(const __m512i* words,
                                                   const Bfloat16Bits* /*type*/, PanelPlace& place,
                                                   FloatPanel to) {
  const __m512i upper = _mm512_set1_epi32(-0x10000);
  for (std::int64_t i = 0; i < kTurnedWords; ++i) {
    _mm512_storeu_si512(to.words + place.next() * to.apart, _mm512_slli_epi32(words[i], 16));
    _mm512_storeu_si512(to.words + place.next() * to.apart, _mm512_and_si512(words[i], upper));
  }
}

// A word's lower half comes before its upper one.
EMULSION_AVX512 EMULSION_INLINED void store_half(__m512i upper, std::int64_t place, PairPanel to) {
  float* const at = to.words + place / 2 * kPanelColumns;
  const bool is_lower = place % 2 == 0;
  _mm512_storeu_si512(
      at, is_lower ? _mm512_srli_epi32(upper, 16) : _mm512_or_si512(_mm512_loadu_si512(at), upper));
}

EMULSION_AVX512 EMULSION_INLINED void store_turned(const __m512i* words,
                                                   const Bfloat16Bits* /*type*/, PanelPlace& place,
                                                   PairPanel to) {
  for (std::int64_t i = 0; i < kTurnedWords; ++i) {
    const std::int64_t first = place.next(), second = place.next();
    if (second == first + 1) {
      _mm512_storeu_si512(to.words + first / 2 * kPanelColumns, words[i]);
      continue;
    }
    store_half(_mm512_slli_epi32(words[i], 16), first, to);
    store_half(_mm512_and_si512(words[i], _mm512_set1_epi32(-0x10000)), second, to);
  }
}

// These give back how much of the depth they have packed.
template <class Element, class Panel>
EMULSION_AVX512 std::int64_t pack_avx512(const Element* from, const PanelRange& range, Panel to) {
  constexpr auto kSize = static_cast<std::int64_t>(sizeof(Element));
  constexpr std::int64_t kAtOnce = kTurnedWords * 4 / kSize;
  const std::int64_t whole = range.depth / kAtOnce * kAtOnce;
  PanelPlace place(range);
  for (std::int64_t k = 0; k < whole; k += kAtOnce) {
    __m512i words[kTurnedWords];
    turn_words(reinterpret_cast<const char*>(from + k), range.stride * kSize, words);
    store_turned(words, from, place, to);
  }
  return whole;
}
#else
template <class Element, class Panel>
std::int64_t pack_avx512(const Element* /*from*/, const PanelRange& /*range*/, Panel /*to*/) {
  return 0;
}
#endif

template <class Element>
EMULSION_AVX2 std::int64_t pack_avx2(const Element* from, const PanelRange& range, FloatPanel to) {
  const std::int64_t whole = range.depth / kLanes * kLanes;
  // Half of the rows at a time: so many streams through memory are fetched ahead.
  for (std::int64_t half = 0; half < kPanelColumns; half += kLanes) {
    PanelPlace place(range);
    for (std::int64_t k = 0; k < whole; k += kLanes) {
      Lanes v[kLanes];
      load_columns(from + half * range.stride + k, range.stride, range.columns - half, v);
      for (const Lanes& column : v) lanes_at(to.words + place.next() * to.apart + half) = column;
    }
  }
  return whole;
}

// What is left after so much of the depth.
template <class Element, class Panel>
void pack_rest(const Element* from, const PanelRange& range, std::int64_t packed, Panel to) {
  PanelPlace place(range, packed);
  for (std::int64_t k = packed; k < range.depth; ++k) {
    const std::int64_t at = place.next();
    for (std::int64_t n = 0; n < kPanelColumns; ++n)
      to.put(at, n, n < range.columns ? from[n * range.stride + k] : Element{});
  }
}

template <class Element>
void pack_floats(const Element* from, const PanelRange& range, FloatPanel to) {
  static const bool is_wide = has_avx512(Words::Floats);
  const bool is_whole = range.columns == kPanelColumns;
  pack_rest(from, range,
            is_wide && is_whole ? pack_avx512(from, range, to) : pack_avx2(from, range, to), to);
}

}  // namespace

void pack_panel(const float* rows, const PanelRange& range, float* panel, std::int64_t apart) {
  pack_floats(rows, range, {panel, apart});
}

void pack_panel(const Bfloat16Bits* rows, const PanelRange& range, float* panel) {
  pack_floats(rows, range, {panel});
}

void pack_pairs(const Bfloat16Bits* rows, const PanelRange& range, float* panel) {
  const PairPanel to{panel};
  const bool is_whole = range.columns == kPanelColumns;
  pack_rest(rows, range, is_whole ? pack_avx512(rows, range, to) : 0, to);
}

void pack_words(const float* rows, const PanelRange& range, Words /*words*/, float* panel) {
  pack_panel(rows, range, panel);
}

void pack_words(const Bfloat16Bits* rows, const PanelRange& range, Words words, float* panel) {
  if (words == Words::BfloatPairs)
    pack_pairs(rows, range, panel);
  else
    pack_panel(rows, range, panel);
}

}  // namespace emulsion::kernels

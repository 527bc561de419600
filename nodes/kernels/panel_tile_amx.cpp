#include "kernels/panel_tile_amx.h"

#include <algorithm>

#include "emulsion/processor.h"
#include "kernels/amx_tiles.h"

#if defined(__x86_64__) && defined(__GNUC__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>

namespace emulsion::kernels {
namespace {

// Words first ... first + steps * depth - 1 of each segment, `depth` at a time.
struct Pass {
  std::int64_t first, steps, depth;
};

// Sums of one or two tiles of rows and one or two panels, in memory.
struct Sums {
  float* first;
  std::int64_t stride;  // in words

  float* at(std::int64_t tile, std::int64_t panel) const {
    return first + tile * kTileWords * stride + panel * kPanelColumns;
  }
};

template <int kTiles, int kPanels>
EMULSION_AMX EMULSION_INLINED void clear_sums() {
  _tile_zero(0);
  if constexpr (kPanels == 2) _tile_zero(1);
  if constexpr (kTiles == 2) _tile_zero(2);
  if constexpr (kTiles == 2 && kPanels == 2) _tile_zero(3);
}

template <int kTiles, int kPanels>
EMULSION_AMX EMULSION_INLINED void load_sums(const Sums& sums) {
  const std::int64_t stride = sums.stride * kWordBytes;
  _tile_loadd(0, sums.at(0, 0), stride);
  if constexpr (kPanels == 2) _tile_loadd(1, sums.at(0, 1), stride);
  if constexpr (kTiles == 2) _tile_loadd(2, sums.at(1, 0), stride);
  if constexpr (kTiles == 2 && kPanels == 2) _tile_loadd(3, sums.at(1, 1), stride);
}

template <int kTiles, int kPanels>
EMULSION_AMX EMULSION_INLINED void store_sums(const Sums& sums) {
  const std::int64_t stride = sums.stride * kWordBytes;
  _tile_stored(0, sums.at(0, 0), stride);
  if constexpr (kPanels == 2) _tile_stored(1, sums.at(0, 1), stride);
  if constexpr (kTiles == 2) _tile_stored(2, sums.at(1, 0), stride);
  if constexpr (kTiles == 2 && kPanels == 2) _tile_stored(3, sums.at(1, 1), stride);
}

// One segment of the rows at x, times the panels at w.
template <int kTiles, int kPanels>
EMULSION_AMX EMULSION_INLINED void add_segment(const TileProduct& product, const Pass& pass,
                                               const char* x, const float* w) {
  constexpr std::int64_t kPanelStride = kPanelColumns * kWordBytes;
  const std::int64_t stride = product.stride;
  for (std::int64_t step = 0; step < pass.steps; ++step) {
    _tile_loadd(6, w, kPanelStride);
    _tile_loadd(4, x, stride);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kPanels == 2) {
      _tile_loadd(7, w + product.distance, kPanelStride);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (kTiles == 2) {
      _tile_loadd(5, x + kTileWords * stride, stride);
      _tile_dpbf16ps(2, 5, 6);
    }
    if constexpr (kTiles == 2 && kPanels == 2) _tile_dpbf16ps(3, 5, 7);
    x += pass.depth * kWordBytes;
    w += pass.depth * kPanelColumns;
  }
}

// One or two tiles of rows from m on, times one or two panels from p on.
template <int kTiles, int kPanels>
EMULSION_AMX EMULSION_INLINED void multiply_tiles(const TileProduct& product, const Pass& pass,
                                                  std::int64_t m, std::int64_t p) {
  const Sums sums{product.y + m * product.y_stride + p * kPanelColumns, product.y_stride};
  if (product.adds || pass.first > 0)
    load_sums<kTiles, kPanels>(sums);
  else
    clear_sums<kTiles, kPanels>();
  const char* const row = product.rows + m * product.stride + pass.first * kWordBytes;
  const float* panel = product.panel + p * product.distance + pass.first * kPanelColumns;
  for (const std::int64_t segment : product.segments) {
    add_segment<kTiles, kPanels>(product, pass, row + segment, panel);
    panel += product.depth * kPanelColumns;
  }
  store_sums<kTiles, kPanels>(sums);
}

// So many tiles of rows from m on, times all panels.
template <int kTiles>
EMULSION_AMX EMULSION_INLINED void multiply_rows(const TileProduct& product, const Pass& pass,
                                                 std::int64_t m) {
  std::int64_t p = 0;
  for (; p + 2 <= product.panels; p += 2) {
    multiply_tiles<kTiles, 2>(product, pass, m, p);
    if (product.then == nullptr) continue;
    const float* const y = product.y + m * product.y_stride + p * kPanelColumns;
    const std::int64_t count = std::min(kTiles * kTileWords, product.count - m);
    product.then->use(product.then->context, {m, count, p, y});
  }
  if (p < product.panels) multiply_tiles<kTiles, 1>(product, pass, m, p);
}

EMULSION_AMX void multiply_pass(const TileProduct& product, const Pass& pass) {
  if (pass.steps == 0) return;
  std::int64_t m = 0;
  if (product.count >= 2 * kTileWords) {
    load_config(TileConfig(kTileWords, pass.depth));
    for (; m + 2 * kTileWords <= product.count; m += 2 * kTileWords)
      multiply_rows<2>(product, pass, m);
  }
  const std::int64_t left = product.count - m;
  if (left == 0) return;
  if (left > kTileWords) {
    load_config(TileConfig(kTileWords, left - kTileWords, pass.depth));
    multiply_rows<2>(product, pass, m);
  } else {
    load_config(TileConfig(left, pass.depth));
    multiply_rows<1>(product, pass, m);
  }
}

std::int64_t distance(const void* const* rows) {
  return static_cast<const char*>(rows[1]) - static_cast<const char*>(rows[0]);
}

}  // namespace

bool has_amx() {
  constexpr long kAsk = 0x1023, kTileData = 18;  // arch_prctl's request, and for what
  static const bool has = has_tile_products() && has_panel_tiles(Words::BfloatPairs) &&
                          syscall(SYS_arch_prctl, kAsk, kTileData) == 0;
  return has;
}

bool suits_amx(const PanelProduct& product) {
  for (std::int64_t m = 1; m + 1 < product.count; ++m)
    if (distance(product.rows + m) != distance(product.rows)) return false;
  return true;
}

EMULSION_AMX void multiply_amx(const TileProduct& product) {
  const std::int64_t steps = product.depth / kTileWords, rest = product.depth % kTileWords;
  multiply_pass(product, {0, steps, kTileWords});
  multiply_pass(product, {steps * kTileWords, rest > 0 ? 1 : 0, rest});
  _tile_release();
}

void multiply_amx(const PanelProduct& product) {
  constexpr std::int64_t kWhole[] = {0};
  multiply_amx({.rows = static_cast<const char*>(product.rows[0]),
                .stride = product.count > 1 ? distance(product.rows) : 0,
                .segments = kWhole,
                .depth = product.depth,
                .count = product.count,
                .panel = product.panel,
                .panels = product.panels,
                .distance = product.distance,
                .y = product.y,
                .y_stride = product.stride,
                .adds = product.adds});
}

}  // namespace emulsion::kernels
#else
namespace emulsion::kernels {

bool has_amx() { return false; }
bool suits_amx(const PanelProduct& /*product*/) { return false; }
void multiply_amx(const TileProduct& /*product*/) {}
void multiply_amx(const PanelProduct& /*product*/) {}

}  // namespace emulsion::kernels
#endif

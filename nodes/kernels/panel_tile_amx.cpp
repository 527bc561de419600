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

// One or two tiles of rows from m on, times one or two panels from p on.
template <int kTiles, int kPanels>
EMULSION_AMX EMULSION_INLINED void multiply_tiles(const TileProduct& product, const Pass& pass,
                                                  std::int64_t m, std::int64_t p) {
  const TileBlock sums{product.y + m * product.y_stride + p * kPanelColumns, product.y_stride};
  if (product.adds || pass.first > 0)
    load_sums<kTiles, kPanels>(sums);
  else
    clear_sums<kTiles, kPanels>();
  const char* const row = product.rows + m * product.stride + pass.first * kWordBytes;
  const float* panel = product.panel + p * product.distance + pass.first * kPanelColumns;
  for (const std::int64_t segment : product.segments) {
    add_products<kTiles, kPanels>({row + segment, product.stride, panel, product.distance},
                                  pass.steps, pass.depth);
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

}  // namespace

bool has_amx() {
  constexpr long kAsk = 0x1023, kTileData = 18;  // arch_prctl's request, and for what
  static const bool has = has_tile_products() && has_panel_tiles(Words::BfloatPairs) &&
                          syscall(SYS_arch_prctl, kAsk, kTileData) == 0;
  return has;
}

EMULSION_AMX void multiply_amx(const TileProduct& product) {
  const std::int64_t steps = product.depth / kTileWords, rest = product.depth % kTileWords;
  multiply_pass(product, {0, steps, kTileWords});
  multiply_pass(product, {steps * kTileWords, rest > 0 ? 1 : 0, rest});
  _tile_release();
}

}  // namespace emulsion::kernels
#else
namespace emulsion::kernels {

bool has_amx() { return false; }
void multiply_amx(const TileProduct& /*product*/) {}

}  // namespace emulsion::kernels
#endif

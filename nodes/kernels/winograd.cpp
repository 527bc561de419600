#include "kernels/winograd.h"

#include <ATen/record_function.h>

#include <array>
#include <vector>

#include "emulsion/processor.h"
#include "kernels/panel_tile.h"
#include "kernels/rounding.h"
#include "kernels/take_turns.h"
#include "kernels/tensor_ops.h"
#include "kernels/winograd_transform.h"

namespace emulsion::kernels {
namespace {

// Below, the weights' transform costs too much.
constexpr std::int64_t kFewestTiles = 4, kFewestDoubledTiles = 48;
constexpr std::int64_t kFewestChannels = 32;  // below, the transforms of maps do
// What one thread multiplies at a time, so that arguments and results stay in its cache: of many
// tiles, or of few of which all are taken.
constexpr std::int64_t kMostOfMany = 3 * kTileRows, kFilters = 4 * kPanelColumns;
constexpr std::int64_t kFewTiles = 12 * kTileRows, kFewWeights = kFilters * kFilters;
constexpr std::int64_t kVeryFewTiles = 4 * kTileRows;
// Filters of which some channels are transformed at a time, where tiles are few.
constexpr std::int64_t few_filters(std::int64_t tiles) {
  return tiles <= kVeryFewTiles ? kFilters : kFilters / 2;
}
// From one cell to the next: cells that lie whole pages apart would compete for the same lines of a
// cache.
constexpr std::int64_t apart(std::int64_t elements) { return elements + kPanelColumns; }
constexpr std::int64_t kProducts =
    apart(std::max({kMostOfMany * kFilters, kVeryFewTiles* few_filters(kVeryFewTiles),
                    kFewTiles* few_filters(kFewTiles)}));
static_assert(kMostOfMany <= kFewTiles, "as many rows are multiplied at a time");
// Transformed elements of many maps at a time, unless a thread's fewest tiles take more.
constexpr std::int64_t kMostInputs = 12 << 20;
constexpr std::int64_t kMostWeights = 12 << 20;  // of weights

bool are_few(const WinogradShape& shape) { return shape.tiles <= kFewTiles; }

// Of many tiles, those that a thread takes at a time: the most that make the share of the busiest
// one at most a few per cent larger.
std::int64_t tiles_of_part(const WinogradShape& shape, std::int64_t threads) {
  const std::int64_t fit = kMostInputs / (kTileCells * shape.in * threads);
  std::int64_t best = kTileRows, least = shape.tiles;
  for (std::int64_t part = kTileRows; part <= std::min(fit, kMostOfMany); part += kTileRows) {
    const std::int64_t turns = quotient_up(quotient_up(shape.tiles, part), threads);
    const std::int64_t others = (turns - 1) * part * (threads - 1);
    const std::int64_t most = std::min(turns * part, shape.tiles - others);
    if (most > least + least / 32) continue;
    least = most;
    best = part;
  }
  return best;
}

// Floats from one cell of transformed maps to the next.
std::int64_t map_cell(const WinogradShape& shape, std::int64_t threads) {
  return apart(shape.in * (are_few(shape) ? shape.tiles : tiles_of_part(shape, threads)));
}

// Transformed maps that are there at a time.
std::int64_t kept_maps(const WinogradShape& shape, std::int64_t threads) {
  return are_few(shape) ? 1 : threads;
}

// Filters whose transform is kept at a time: those of each time are about as many.
std::int64_t filters_at_once(const WinogradShape& shape) {
  const std::int64_t fit = std::max(kPanelColumns, kMostWeights / (kTileCells * shape.in));
  return rounded_up(quotient_up(shape.out, quotient_up(shape.out, fit)), kPanelColumns);
}

// Elements of transformed weights.
std::int64_t kept_weights(const WinogradShape& shape, std::int64_t threads) {
  if (are_few(shape)) return threads * kTileCells * apart(kFewWeights);
  return kTileCells * apart(shape.in * filters_at_once(shape));
}

// One convolution, with what it allocates.
template <class Element>
class Winograd {
 public:
  Winograd(const WinogradShape& shape, const at::Tensor& x, const at::Tensor& weight,
           const at::Tensor& bias, const at::Tensor& y)
      : shape_(shape),
        in_(shape.in, x.size(2), x.size(3), shape.is_doubled),
        out_(shape.out, x.size(2), x.size(3), shape.is_doubled),
        u_cell_(apart(shape.in * filters_at_once(shape))),
        v_cell_(map_cell(shape, at::get_num_threads())),
        x_(static_cast<const Element*>(x.const_data_ptr())),
        weight_(static_cast<const Element*>(weight.const_data_ptr())),
        y_(static_cast<Element*>(y.mutable_data_ptr())),
        zeros_(at::zeros({shape.in}, x.options())),
        bias_(bias.to(at::kFloat).contiguous()),
        u_(at::empty({kept_weights(shape, at::get_num_threads())}, bias_.options())),
        v_(at::empty({kept_maps(shape, at::get_num_threads()), kTileCells, v_cell_},
                     bias_.options())),
        products_(at::empty({at::get_num_threads(), kTileCells, kProducts}, bias_.options())) {}

  void run() {
    if (are_few(shape_)) {
      transform_maps();
      for (const TilePhase& phase : phases()) multiply_few(phase);
      return;
    }
    const std::int64_t filters = filters_at_once(shape_);
    for (std::int64_t filter = 0; filter < shape_.out; filter += filters) {
      const std::int64_t count = std::min(filters, shape_.out - filter);
      for (const TilePhase& phase : phases()) {
        transform_weights(filter, count, phase);
        multiply_many(filter, count, phase);
      }
    }
  }

 private:
  std::vector<TilePhase> phases() const {
    if (!shape_.is_doubled) return {TilePhase{}};
    return {{true, 0, 0}, {true, 0, 1}, {true, 1, 0}, {true, 1, 1}};
  }

  void transform_maps() {
    take_turns(quotient_up(shape_.tiles, kTileRows), [&](std::int64_t i, std::int64_t) {
      const std::int64_t begin = i * kTileRows;
      transform_tiles({begin, std::min(kTileRows, shape_.tiles - begin)},
                      v_.mutable_data_ptr<float>() + begin * shape_.in);
    });
  }

  void transform_tiles(const TileRange& tiles, float* v) const {
    const auto* zeros = static_cast<const Element*>(zeros_.const_data_ptr());
    transform_inputs(in_, x_, zeros, tiles, {v, shape_.in, v_cell_});
  }

  // Few tiles: each thread takes a group of filters, of which it transforms some channels before
  // it multiplies with these.
  void multiply_few(const TilePhase& phase) {
    const std::int64_t group = few_filters(shape_.tiles), most = kFewWeights / group;
    take_turns(quotient_up(shape_.out, group), [&](std::int64_t i, std::int64_t thread) {
      const std::int64_t filter = i * group;
      const std::int64_t filters = std::min(group, shape_.out - filter);
      float* const u = u_.mutable_data_ptr<float>() + thread * kTileCells * apart(kFewWeights);
      for (std::int64_t c = 0; c < shape_.in; c += most) {
        const std::int64_t channels = std::min(most, shape_.in - c);
        for (std::int64_t p = 0; p < filters; p += kPanelColumns)
          transform_filters(weight_ + ((filter + p) * shape_.in + c) * 9, shape_.in, channels,
                            phase, {u + p * most, kPanelColumns, apart(kFewWeights)});
        multiply_cells(v_.const_data_ptr<float>(), shape_.tiles,
                       {.first = u,
                        .cell = apart(kFewWeights),
                        .panel = most * kPanelColumns,
                        .filters = filters,
                        .channel = c,
                        .channels = channels},
                       products_of(thread, group));
      }
      write({0, shape_.tiles}, phase, products_of(thread, group), filter, filters);
    });
  }

  void transform_weights(std::int64_t filter, std::int64_t count, const TilePhase& phase) {
    const std::int64_t C = shape_.in;
    auto* u = u_.mutable_data_ptr<float>();
    take_turns(count / kPanelColumns, [&](std::int64_t p, std::int64_t) {
      transform_filters(weight_ + (filter + p * kPanelColumns) * C * 9, C, C, phase,
                        {u + p * kPanelColumns * C, kPanelColumns, u_cell_});
    });
  }

  // Many tiles: each thread takes a part of them at a time, which no other reads, through all
  // filters.
  void multiply_many(std::int64_t filter, std::int64_t filters, const TilePhase& phase) {
    const std::int64_t C = shape_.in, part = tiles_of_part(shape_, at::get_num_threads());
    take_turns(quotient_up(shape_.tiles, part), [&](std::int64_t i, std::int64_t thread) {
      const TileRange tiles{i * part, std::min(part, shape_.tiles - i * part)};
      float* const v = v_.mutable_data_ptr<float>() + thread * kTileCells * v_cell_;
      transform_tiles(tiles, v);
      for (std::int64_t from = 0; from < filters; from += kFilters) {
        const std::int64_t many = std::min(kFilters, filters - from);
        multiply_cells(v, tiles.count,
                       {.first = u_.const_data_ptr<float>() + from * C,
                        .cell = u_cell_,
                        .panel = C * kPanelColumns,
                        .filters = many,
                        .channel = 0,
                        .channels = C},
                       products_of(thread, kFilters));
        write(tiles, phase, products_of(thread, kFilters), filter + from, many);
      }
    });
  }

  TileCells products_of(std::int64_t thread, std::int64_t stride) {
    return {products_.mutable_data_ptr<float>() + thread * kTileCells * kProducts, stride,
            kProducts};
  }

  // Transformed weights of some channels of some filters.
  struct Weights {
    const float* first;
    std::int64_t cell, panel;  // floats to the next
    std::int64_t filters, channel, channels;
  };

  // The products of so many tiles, added to those of the channels before.
  void multiply_cells(const float* v, std::int64_t tiles, const Weights& u,
                      const TileCells& products) const {
    std::array<const void*, kFewTiles> rows;
    for (std::int64_t k = 0; k < kTileCells; ++k) {
      for (std::int64_t t = 0; t < tiles; ++t)
        rows[static_cast<std::size_t>(t)] = v + k * v_cell_ + t * shape_.in + u.channel;
      multiply({.rows = rows.data(),
                .count = tiles,
                .panel = u.first + k * u.cell,
                .panels = u.filters / kPanelColumns,
                .distance = u.panel,
                .depth = u.channels,
                .y = products.first + k * products.cell,
                .stride = products.stride,
                .adds = u.channel > 0});
    }
  }

  void write(const TileRange& tiles, const TilePhase& phase, const TileCells& products,
             std::int64_t filter, std::int64_t filters) const {
    transform_outputs(out_, phase, products, tiles, filters, bias_.const_data_ptr<float>() + filter,
                      y_ + filter);
  }

  WinogradShape shape_;
  TileGrid in_, out_;
  std::int64_t u_cell_, v_cell_;
  const Element *x_, *weight_;
  Element* y_;
  at::Tensor zeros_, bias_;
  at::Tensor u_;         // [36, filters / 16, C, 16]; of each thread, for some filters and channels
  at::Tensor v_;         // [36, tiles, C] of few tiles; of each thread, of a part of many
  at::Tensor products_;  // of each thread: [36, tiles, filters]
};

template <class Element>
void convolve(const WinogradShape& shape, const at::Tensor& x, const at::Tensor& weight,
              const at::Tensor& bias, const at::Tensor& y) {
  Winograd<Element>(shape, x, weight, bias, y).run();
}

at::Tensor convolved(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                     bool is_doubled) {
  const std::int64_t B = x.size(0), H = x.size(2), W = x.size(3), times = is_doubled ? 2 : 1;
  at::Tensor y = at::empty({B, weight.size(0), times * H, times * W}, x.options(),
                           at::MemoryFormat::ChannelsLast);
  const WinogradShape shape{x.size(1), weight.size(0), winograd_tiles(B, H, W, is_doubled),
                            is_doubled};
  if (x.scalar_type() == at::kFloat)
    convolve<float>(shape, x, weight, bias, y);
  else
    convolve<Bfloat16Bits>(shape, x, weight, bias, y);
  return y;
}

}  // namespace

bool WinogradShape::pays() const {
  return tiles >= (is_doubled ? kFewestDoubledTiles : kFewestTiles) && in >= kFewestChannels &&
         out >= kFewestChannels && in % kPanelColumns == 0 && out % kPanelColumns == 0;
}

std::int64_t WinogradShape::scratch(std::int64_t threads) const {
  return kept_weights(*this, threads) +
         kTileCells * (kept_maps(*this, threads) * map_cell(*this, threads) + threads * kProducts) +
         in + out;
}

std::int64_t winograd_tiles(std::int64_t batch, std::int64_t height, std::int64_t width,
                            bool is_doubled) {
  const TileGrid grid(0, height, width, is_doubled);
  return batch * grid.rows * grid.columns;
}

bool winograd_holds(c10::ScalarType dtype) {
  const bool is_known = dtype == at::kFloat || (dtype == at::kBFloat16 && !has_tile_products());
  return is_known && has_panel_tiles();
}

at::Tensor winograd_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  RECORD_FUNCTION("winograd_conv2d", std::vector<c10::IValue>({x, weight, bias}));
  return convolved(x, weight, bias, false);
}

at::Tensor winograd_doubled_conv2d(const at::Tensor& x, const at::Tensor& weight,
                                   const at::Tensor& bias) {
  RECORD_FUNCTION("winograd_doubled_conv2d", std::vector<c10::IValue>({x, weight, bias}));
  return convolved(x, weight, bias, true);
}

}  // namespace emulsion::kernels

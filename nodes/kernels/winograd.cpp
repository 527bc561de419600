#include "kernels/winograd.h"

#include <ATen/record_function.h>

#include <array>

#include "kernels/conv.h"
#include "kernels/panel_tile.h"
#include "kernels/take_turns.h"
#include "kernels/tensor_ops.h"

namespace emulsion::kernels {
namespace {

constexpr std::int64_t kSide = 6, kCells = 36;  // of a tile of inputs
constexpr std::int64_t kResults = 4;            // on a side
constexpr std::int64_t kFewestTiles = 96;       // below, the weights' transform costs too much
constexpr std::int64_t kFewestChannels = 32;    // below, the transforms of maps do
// What one thread multiplies at a time: its arguments and results stay in its cache.
constexpr std::int64_t kTiles = 8 * kTileRows, kFilters = 4 * kPanelColumns;
constexpr std::int64_t kMostInputs = 12 << 20;  // transformed elements of maps at a time
// Elements of transformed weights at a time: those of one use stay in the cache until then, those
// of several are made once.
constexpr std::int64_t kMostPassing = 4 << 20, kMostKept = 12 << 20;

// Points of interpolation 0, +-a, +-b and infinity, of which Barabasz et al. 2020 ("Error analysis
// and improving the accuracy of Winograd convolution") show how they decide the error.
constexpr float a = 0.75F, b = 1.5F, a2 = a * a, b2 = b * b;
constexpr float kNorm0 = 1 / (a2 * b2), kNormA = 1 / (2 * a2 * (a2 - b2)),
                kNormB = 1 / (2 * b2 * (b2 - a2));

// The one-dimensional transforms.  Values of a line are `step` floats apart, lanes side by side.
EMULSION_AVX2 EMULSION_INLINED void input_line(const std::array<const float*, kSide>& d,
                                               float* __restrict v, std::int64_t step) {
  for (std::int64_t i = 0; i < kPanelColumns; ++i) {
    const float even_a = d[4][i] - b2 * d[2][i], odd_a = a * (d[3][i] - b2 * d[1][i]);
    const float even_b = d[4][i] - a2 * d[2][i], odd_b = b * (d[3][i] - a2 * d[1][i]);
    v[i] = a2 * b2 * d[0][i] - (a2 + b2) * d[2][i] + d[4][i];
    v[step + i] = even_a + odd_a;
    v[2 * step + i] = even_a - odd_a;
    v[3 * step + i] = even_b + odd_b;
    v[4 * step + i] = even_b - odd_b;
    v[5 * step + i] = a2 * b2 * d[1][i] - (a2 + b2) * d[3][i] + d[5][i];
  }
}

EMULSION_AVX2 EMULSION_INLINED void filter_line(const float* g, std::int64_t from,
                                                float* __restrict u, std::int64_t step) {
  for (std::int64_t i = 0; i < kPanelColumns; ++i) {
    const float g0 = g[i], g1 = g[from + i], g2 = g[2 * from + i];
    u[i] = kNorm0 * g0;
    u[step + i] = kNormA * (g0 + a2 * g2 + a * g1);
    u[2 * step + i] = kNormA * (g0 + a2 * g2 - a * g1);
    u[3 * step + i] = kNormB * (g0 + b2 * g2 + b * g1);
    u[4 * step + i] = kNormB * (g0 + b2 * g2 - b * g1);
    u[5 * step + i] = g2;
  }
}

EMULSION_AVX2 EMULSION_INLINED void output_line(const std::array<const float*, kSide>& m,
                                                float* __restrict y, std::int64_t step) {
  for (std::int64_t i = 0; i < kPanelColumns; ++i) {
    const float sum_a = m[1][i] + m[2][i], difference_a = m[1][i] - m[2][i];
    const float sum_b = m[3][i] + m[4][i], difference_b = m[3][i] - m[4][i];
    y[i] = m[0][i] + sum_a + sum_b;
    y[step + i] = a * difference_a + b * difference_b;
    y[2 * step + i] = a2 * sum_a + b2 * sum_b;
    y[3 * step + i] = a2 * a * difference_a + b2 * b * difference_b + m[5][i];
  }
}

EMULSION_INLINED std::array<const float*, kSide> line_of(const float* first, std::int64_t step) {
  return {first,           first + step, first + 2 * step, first + 3 * step, first + 4 * step,
          first + 5 * step};
}

// Maps of channels-last samples, cut into tiles.
struct Grid {
  std::int64_t channels, height, width, rows, columns;  // rows and columns of tiles

  Grid(std::int64_t c, std::int64_t h, std::int64_t w)
      : channels(c), height(h), width(w), rows((h + 3) / kResults), columns((w + 3) / kResults) {}
};

struct Corner {  // of a tile's results
  std::int64_t sample, y, x;
};

EMULSION_INLINED Corner corner_of(const Grid& grid, std::int64_t tile) {
  const std::int64_t row = tile / grid.columns;
  return {row / grid.rows, row % grid.rows * kResults, tile % grid.columns * kResults};
}

// The pixels under a tile, in order; `zeros` stands for what is outside.
template <class Element>
EMULSION_INLINED std::array<const Element*, kCells> pixels_under(const Grid& grid,
                                                                 const Corner& corner,
                                                                 const Element* x,
                                                                 const Element* zeros) {
  std::array<const Element*, kCells> pixels;
  for (std::int64_t k = 0; k < kCells; ++k) {
    const std::int64_t row = corner.y - 1 + k / kSide, column = corner.x - 1 + k % kSide;
    const bool inside = row >= 0 && row < grid.height && column >= 0 && column < grid.width;
    const std::int64_t pixel = (corner.sample * grid.height + row) * grid.width + column;
    pixels[static_cast<std::size_t>(k)] = inside ? x + pixel * grid.channels : zeros;
  }
  return pixels;
}

// Tiles `first` + begin ... of the map x -> v [36, count, C]
template <class Element>
EMULSION_AVX2 void transform_inputs(const Grid& grid, const Element* x, const Element* zeros,
                                    float* v, std::int64_t count, std::int64_t first,
                                    std::int64_t begin, std::int64_t end) {
  const std::int64_t C = grid.channels, cell = count * C;
  for (std::int64_t t = begin; t < end; ++t) {
    const auto pixels = pixels_under(grid, corner_of(grid, first + t), x, zeros);
    for (std::int64_t c = 0; c < C; c += kPanelColumns) {
      float wide[kCells * kPanelColumns], half[kCells * kPanelColumns];
      std::array<const float*, kCells> from;
      for (std::size_t k = 0; k < kCells; ++k) {
        if constexpr (std::is_same_v<Element, float>) {
          from[k] = pixels[k] + c;
        } else {
          float* to = wide + k * kPanelColumns;
          for (std::int64_t i = 0; i < kPanelColumns; ++i) to[i] = widened(pixels[k][c + i]);
          from[k] = to;
        }
      }
      for (std::size_t j = 0; j < kSide; ++j)
        input_line({from[j], from[6 + j], from[12 + j], from[18 + j], from[24 + j], from[30 + j]},
                   half + j * kPanelColumns, kSide * kPanelColumns);
      for (std::int64_t i = 0; i < kSide; ++i)
        input_line(line_of(half + i * kSide * kPanelColumns, kPanelColumns),
                   v + i * kSide * cell + t * C + c, cell);
    }
  }
}

// Sixteen filters of weight [16, C, 3, 3] -> u, of which cells are `cell` apart: [36, C, 16]
template <class Element>
EMULSION_AVX2 void transform_filters(const Element* weight, float* u, std::int64_t C,
                                     std::int64_t cell) {
  for (std::int64_t c = 0; c < C; ++c) {
    float taps[9 * kPanelColumns], half[kSide * 3 * kPanelColumns];
    for (std::int64_t i = 0; i < kPanelColumns; ++i)
      for (std::int64_t k = 0; k < 9; ++k)
        taps[k * kPanelColumns + i] = widened(weight[(i * C + c) * 9 + k]);
    for (std::int64_t j = 0; j < 3; ++j)
      filter_line(taps + j * kPanelColumns, 3 * kPanelColumns, half + j * kPanelColumns,
                  3 * kPanelColumns);
    for (std::int64_t i = 0; i < kSide; ++i)
      filter_line(half + i * 3 * kPanelColumns, kPanelColumns,
                  u + i * kSide * cell + c * kPanelColumns, cell);
  }
}

// The products of one cell: tiles v [count, C] times panels u [panels, C, 16]
// -> [kTiles, kFilters]
EMULSION_AVX2 void multiply_cell(const float* v, std::int64_t count, const float* u,
                                 std::int64_t panels, std::int64_t C, float* products) {
  for (std::int64_t p = 0; p < panels; ++p)
    for (std::int64_t t = 0; t < count; t += kTileRows) {
      const std::int64_t valid = std::min(kTileRows, count - t);
      std::array<const float*, kTileRows> rows;
      for (std::int64_t r = 0; r < kTileRows; ++r)
        rows[static_cast<std::size_t>(r)] = v + (t + std::min(r, valid - 1)) * C;
      TileSums sums{};
      add_products(sums, rows.data(), u + p * C * kPanelColumns, C);
      store_sums(sums, products + t * kFilters + p * kPanelColumns, kFilters, valid);
    }
}

// Where results of a group of filters go.
template <class Element>
struct Results {
  Element* y;  // of the first filter
  const float* bias;
  std::int64_t filters;
};

// Tiles `first` ... first + count - 1 from products [36, kTiles, kFilters]
template <class Element>
EMULSION_AVX2 void transform_outputs(const Grid& grid, const float* products,
                                     const Results<Element>& to, std::int64_t first,
                                     std::int64_t count) {
  constexpr std::int64_t kCell = kTiles * kFilters;
  for (std::int64_t t = 0; t < count; ++t) {
    const Corner corner = corner_of(grid, first + t);
    const std::int64_t rows = std::min(kResults, grid.height - corner.y);
    const std::int64_t columns = std::min(kResults, grid.width - corner.x);
    for (std::int64_t c = 0; c < to.filters; c += kPanelColumns) {
      float half[kResults * kSide * kPanelColumns], tile[kResults * kResults * kPanelColumns];
      const float* at = products + t * kFilters + c;
      for (std::int64_t j = 0; j < kSide; ++j)
        output_line(line_of(at + j * kCell, kSide * kCell), half + j * kPanelColumns,
                    kSide * kPanelColumns);
      for (std::int64_t i = 0; i < kResults; ++i)
        output_line(line_of(half + i * kSide * kPanelColumns, kPanelColumns),
                    tile + i * kResults * kPanelColumns, kPanelColumns);
      for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t j = 0; j < columns; ++j) {
          const std::int64_t pixel =
              (corner.sample * grid.height + corner.y + i) * grid.width + corner.x + j;
          const float* result = tile + (i * kResults + j) * kPanelColumns;
          for (std::int64_t l = 0; l < kPanelColumns; ++l)
            narrow(result[l] + to.bias[c + l], to.y[pixel * grid.channels + c + l]);
        }
    }
  }
}

// Tiles whose transform is kept at a time: enough for all threads.
std::int64_t tiles_at_once(const WinogradShape& shape, std::int64_t threads) {
  const std::int64_t fit = kMostInputs / (kCells * shape.in) / kTiles * kTiles;
  const std::int64_t most = std::min(fit, kTiles * threads);
  return std::min(shape.tiles, std::max(2 * kTiles, most));
}

// Filters whose transform is kept at a time.
std::int64_t filters_at_once(const WinogradShape& shape, std::int64_t threads) {
  const std::int64_t most = shape.tiles <= tiles_at_once(shape, threads) ? kMostPassing : kMostKept;
  const std::int64_t filters = most / (kCells * shape.in) / kPanelColumns * kPanelColumns;
  return std::min(shape.out, std::max(kPanelColumns, filters));
}

// One convolution, with what it allocates.
template <class Element>
class Winograd {
 public:
  Winograd(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
           const at::Tensor& y)
      : in_(x.size(1), x.size(2), x.size(3)),
        out_(y.size(1), y.size(2), y.size(3)),
        tiles_(winograd_tiles(x.size(0), in_.height, in_.width)),
        filters_(filters_at_once({in_.channels, out_.channels, tiles_}, at::get_num_threads())),
        strip_(tiles_at_once({in_.channels, out_.channels, tiles_}, at::get_num_threads())),
        x_(static_cast<const Element*>(x.const_data_ptr())),
        weight_(static_cast<const Element*>(weight.const_data_ptr())),
        y_(static_cast<Element*>(y.mutable_data_ptr())),
        zeros_(at::zeros({in_.channels}, x.options())),
        bias_(bias.to(at::kFloat).contiguous()),
        u_(at::empty({kCells, filters_, in_.channels}, bias_.options())),
        v_(at::empty({kCells, strip_, in_.channels}, bias_.options())),
        products_(at::empty({at::get_num_threads(), kCells, kTiles, kFilters}, bias_.options())) {}

  void run() {
    for (std::int64_t filter = 0; filter < out_.channels; filter += filters_) {
      transform_weights(filter, std::min(filters_, out_.channels - filter));
      for (std::int64_t first = 0; first < tiles_; first += strip_) {
        const std::int64_t count = std::min(strip_, tiles_ - first);
        if (filter == 0 || strip_ < tiles_) transform_maps(first, count);
        multiply(filter, std::min(filters_, out_.channels - filter), first, count);
      }
    }
  }

 private:
  void transform_weights(std::int64_t filter, std::int64_t count) {
    const std::int64_t C = in_.channels, panel = C * kPanelColumns;
    auto* u = u_.mutable_data_ptr<float>();
    take_turns(count / kPanelColumns, [&](std::int64_t p, std::int64_t /*thread*/) {
      transform_filters(weight_ + (filter + p * kPanelColumns) * C * 9, u + p * panel, C,
                        filters_ * C);
    });
  }

  void transform_maps(std::int64_t first, std::int64_t count) {
    const auto* zeros = static_cast<const Element*>(zeros_.const_data_ptr());
    auto* v = v_.mutable_data_ptr<float>();
    take_turns((count + kTileRows - 1) / kTileRows, [&](std::int64_t i, std::int64_t /*thread*/) {
      transform_inputs(in_, x_, zeros, v, strip_, first, i * kTileRows,
                       std::min((i + 1) * kTileRows, count));
    });
  }

  // Each thread takes a group of filters and a part of the tiles at a time.
  void multiply(std::int64_t filter, std::int64_t filters, std::int64_t first, std::int64_t count) {
    const std::int64_t groups = (filters + kFilters - 1) / kFilters;
    const std::int64_t parts = (count + kTiles - 1) / kTiles;
    auto* products = products_.mutable_data_ptr<float>();
    take_turns(groups * parts, [&](std::int64_t i, std::int64_t thread) {
      float* own = products + thread * kCells * kTiles * kFilters;
      const std::int64_t tile = i % parts * kTiles, from = i / parts * kFilters;
      const std::int64_t many = std::min(kFilters, filters - from);
      const std::int64_t tiles = std::min(kTiles, count - tile);
      multiply_cells(tile, tiles, from, many, own);
      transform_outputs<Element>(
          out_, own, {y_ + filter + from, bias_.const_data_ptr<float>() + filter + from, many},
          first + tile, tiles);
    });
  }

  void multiply_cells(std::int64_t tile, std::int64_t tiles, std::int64_t filter,
                      std::int64_t filters, float* products) const {
    const std::int64_t C = in_.channels;
    const auto *v = v_.const_data_ptr<float>(), *u = u_.const_data_ptr<float>();
    for (std::int64_t k = 0; k < kCells; ++k)
      multiply_cell(v + (k * strip_ + tile) * C, tiles, u + (k * filters_ + filter) * C,
                    filters / kPanelColumns, C, products + k * kTiles * kFilters);
  }

  Grid in_, out_;
  std::int64_t tiles_, filters_, strip_;
  const Element *x_, *weight_;
  Element* y_;
  at::Tensor zeros_, bias_;
  at::Tensor u_;         // [36, filters / 16, C, 16]
  at::Tensor v_;         // [36, strip, C]
  at::Tensor products_;  // of each thread
};

}  // namespace

bool WinogradShape::pays() const {
  return tiles >= kFewestTiles && in >= kFewestChannels && out >= kFewestChannels &&
         in % kPanelColumns == 0 && out % kPanelColumns == 0;
}

std::int64_t WinogradShape::scratch(std::int64_t threads) const {
  const std::int64_t transformed = filters_at_once(*this, threads) + tiles_at_once(*this, threads);
  return kCells * (in * transformed + threads * kTiles * kFilters) + in + out;
}

std::int64_t winograd_tiles(std::int64_t batch, std::int64_t height, std::int64_t width) {
  return batch * ((height + kResults - 1) / kResults) * ((width + kResults - 1) / kResults);
}

at::Tensor winograd_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  RECORD_FUNCTION("winograd_conv2d", std::vector<c10::IValue>({x, weight, bias}));
  const at::Tensor y = at::empty({x.size(0), weight.size(0), x.size(2), x.size(3)}, x.options(),
                                 at::MemoryFormat::ChannelsLast);
  if (x.scalar_type() == at::kFloat)
    Winograd<float>(x, weight, bias, y).run();
  else
    Winograd<Bfloat16Bits>(x, weight, bias, y).run();
  return y;
}

}  // namespace emulsion::kernels

#include "models/winograd.h"

#include <ATen/Parallel.h>
#include <ATen/record_function.h>

#include <array>

#include "models/layers.h"
#include "models/ops.h"
#include "models/vector_clones.h"

namespace emulsion::models {
namespace {

constexpr std::int64_t kLanes = 16;             // channels that are transformed side by side
constexpr std::int64_t kSide = 6, kCells = 36;  // of a tile of inputs
constexpr std::int64_t kResults = 4;            // on a side
constexpr std::int64_t kFewestTiles = 96;       // below, the weights' transform costs too much
constexpr std::int64_t kFewestChannels = 32;    // below, the transforms of maps do
constexpr std::int64_t kStrip = 128;            // tiles at a time
// Elements of transformed weights at a time: those of one use stay in the cache until then, those
// of several are made once.
constexpr std::int64_t kMostPassing = 4 << 20, kMostKept = 12 << 20;

// Points of interpolation 0, +-a, +-b and infinity, of which Barabasz et al. 2020 ("Error analysis
// and improving the accuracy of Winograd convolution") show how they decide the error.
constexpr float a = 0.75F, b = 1.5F, a2 = a * a, b2 = b * b;
constexpr float kNorm0 = 1 / (a2 * b2), kNormA = 1 / (2 * a2 * (a2 - b2)),
                kNormB = 1 / (2 * b2 * (b2 - a2));

// The one-dimensional transforms.  Values of a line are `step` floats apart, lanes side by side.
EMULSION_INLINED void input_line(const std::array<const float*, kSide>& d, float* __restrict v,
                                 std::int64_t step) {
  for (std::int64_t i = 0; i < kLanes; ++i) {
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

EMULSION_INLINED void filter_line(const float* g, std::int64_t from, float* __restrict u,
                                  std::int64_t step) {
  for (std::int64_t i = 0; i < kLanes; ++i) {
    const float g0 = g[i], g1 = g[from + i], g2 = g[2 * from + i];
    u[i] = kNorm0 * g0;
    u[step + i] = kNormA * (g0 + a2 * g2 + a * g1);
    u[2 * step + i] = kNormA * (g0 + a2 * g2 - a * g1);
    u[3 * step + i] = kNormB * (g0 + b2 * g2 + b * g1);
    u[4 * step + i] = kNormB * (g0 + b2 * g2 - b * g1);
    u[5 * step + i] = g2;
  }
}

EMULSION_INLINED void output_line(const std::array<const float*, kSide>& m, float* __restrict y,
                                  std::int64_t step) {
  for (std::int64_t i = 0; i < kLanes; ++i) {
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

// Tiles `first` + begin ... of the map x -> v [36, count, C]; `zeros` stands for what is outside.
EMULSION_VECTOR_CLONES void transform_inputs(const Grid& grid, const float* x, const float* zeros,
                                             float* v, std::int64_t count, std::int64_t first,
                                             std::int64_t begin, std::int64_t end) {
  const std::int64_t C = grid.channels, cell = count * C;
  for (std::int64_t t = begin; t < end; ++t) {
    const Corner corner = corner_of(grid, first + t);
    std::array<const float*, kCells> from;
    for (std::int64_t k = 0; k < kCells; ++k) {
      const std::int64_t row = corner.y - 1 + k / kSide, column = corner.x - 1 + k % kSide;
      const bool inside = row >= 0 && row < grid.height && column >= 0 && column < grid.width;
      const std::int64_t pixel = (corner.sample * grid.height + row) * grid.width + column;
      from[static_cast<std::size_t>(k)] = inside ? x + pixel * C : zeros;
    }
    for (std::int64_t c = 0; c < C; c += kLanes) {
      float half[kCells * kLanes];
      for (std::size_t j = 0; j < kSide; ++j)
        input_line({from[j] + c, from[6 + j] + c, from[12 + j] + c, from[18 + j] + c,
                    from[24 + j] + c, from[30 + j] + c},
                   half + static_cast<std::int64_t>(j) * kLanes, kSide * kLanes);
      for (std::int64_t i = 0; i < kSide; ++i)
        input_line(line_of(half + i * kSide * kLanes, kLanes), v + i * kSide * cell + t * C + c,
                   cell);
    }
  }
}

// Filters begin ... end of weight [O, C, 3, 3] -> u [36, count, C], of which the first is `first`
EMULSION_VECTOR_CLONES void transform_filters(const float* weight, float* u, std::int64_t C,
                                              std::int64_t count, std::int64_t first,
                                              std::int64_t begin, std::int64_t end) {
  const std::int64_t cell = count * C;
  for (std::int64_t o = begin; o < end; ++o) {
    for (std::int64_t c = 0; c < C; c += kLanes) {
      float taps[9 * kLanes], half[kSide * 3 * kLanes];
      const float* filter = weight + ((first + o) * C + c) * 9;
      for (std::int64_t i = 0; i < kLanes; ++i)
        for (std::int64_t k = 0; k < 9; ++k) taps[k * kLanes + i] = filter[i * 9 + k];
      for (std::int64_t j = 0; j < 3; ++j)
        filter_line(taps + j * kLanes, 3 * kLanes, half + j * kLanes, 3 * kLanes);
      for (std::int64_t i = 0; i < kSide; ++i)
        filter_line(half + i * 3 * kLanes, kLanes, u + i * kSide * cell + o * C + c, cell);
    }
  }
}

using Products = std::array<const float*, kCells>;  // [count, channels] each

// Tiles `first` + begin ... of the channels from `channel` on of the map y, from their products.
EMULSION_VECTOR_CLONES void transform_outputs(const Grid& grid, const Products& products,
                                              std::int64_t channels, const float* bias, float* y,
                                              std::int64_t channel, std::int64_t first,
                                              std::int64_t begin, std::int64_t end) {
  for (std::int64_t t = begin; t < end; ++t) {
    const Corner corner = corner_of(grid, first + t);
    const std::int64_t rows = std::min(kResults, grid.height - corner.y);
    const std::int64_t columns = std::min(kResults, grid.width - corner.x);
    for (std::int64_t c = 0; c < channels; c += kLanes) {
      float half[kResults * kSide * kLanes], tile[kResults * kResults * kLanes];
      const std::int64_t at = t * channels + c;
      for (std::size_t j = 0; j < kSide; ++j)
        output_line({products[j] + at, products[6 + j] + at, products[12 + j] + at,
                     products[18 + j] + at, products[24 + j] + at, products[30 + j] + at},
                    half + static_cast<std::int64_t>(j) * kLanes, kSide * kLanes);
      for (std::int64_t i = 0; i < kResults; ++i)
        output_line(line_of(half + i * kSide * kLanes, kLanes), tile + i * kResults * kLanes,
                    kLanes);
      for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t j = 0; j < columns; ++j) {
          const std::int64_t pixel =
              (corner.sample * grid.height + corner.y + i) * grid.width + corner.x + j;
          float* to = y + pixel * grid.channels + channel + c;
          const float* result = tile + (i * kResults + j) * kLanes;
          for (std::int64_t l = 0; l < kLanes; ++l) to[l] = result[l] + bias[c + l];
        }
    }
  }
}

struct Filters {
  std::int64_t channel;  // of y, the first one's
  at::Tensor u;          // [36, count, C], transformed
};

Filters transformed(const at::Tensor& weight, std::int64_t channel, std::int64_t count) {
  const std::int64_t C = weight.size(1);
  const at::Tensor u = at::empty({kCells, count, C}, weight.options());
  at::parallel_for(0, count, 1, [&](std::int64_t begin, std::int64_t end) {
    transform_filters(weight.const_data_ptr<float>(), u.mutable_data_ptr<float>(), C, count,
                      channel, begin, end);
  });
  return {channel, u};
}

// [36, count, C] of the tiles from `first` on
at::Tensor transformed_tiles(const at::Tensor& x, std::int64_t first, std::int64_t count) {
  const Grid grid(x.size(1), x.size(2), x.size(3));
  const at::Tensor zeros = at::zeros({grid.channels}, x.options());
  const at::Tensor v = at::empty({kCells, count, grid.channels}, x.options());
  at::parallel_for(0, count, 1, [&](std::int64_t begin, std::int64_t end) {
    transform_inputs(grid, x.const_data_ptr<float>(), zeros.const_data_ptr<float>(),
                     v.mutable_data_ptr<float>(), count, first, begin, end);
  });
  return v;
}

// Writes the results of the tiles v, of which the first is `first`, into y.
void convolve_tiles(const at::Tensor& v, const Filters& filters, const at::Tensor& bias,
                    const at::Tensor& y, std::int64_t first) {
  const Grid grid(y.size(1), y.size(2), y.size(3));
  std::vector<at::Tensor> kept;
  Products products;
  for (std::int64_t k = 0; k < kCells; ++k) {
    kept.push_back(models::linear(v[k], filters.u[k], at::Tensor()));  // [count, filters]
    products[static_cast<std::size_t>(k)] = kept.back().const_data_ptr<float>();
  }
  at::parallel_for(0, v.size(1), 1, [&](std::int64_t begin, std::int64_t end) {
    transform_outputs(grid, products, filters.u.size(1),
                      bias.const_data_ptr<float>() + filters.channel, y.mutable_data_ptr<float>(),
                      filters.channel, first, begin, end);
  });
}

// Filters whose transform is kept at a time.
std::int64_t filters_at_once(const WinogradShape& shape) {
  const std::int64_t most = shape.tiles <= kStrip ? kMostPassing : kMostKept;
  const std::int64_t filters = most / (kCells * shape.in) / kLanes * kLanes;
  return std::min(shape.out, std::max(kLanes, filters));
}

}  // namespace

bool WinogradShape::pays() const {
  return tiles >= kFewestTiles && in >= kFewestChannels && out >= kFewestChannels &&
         in % kLanes == 0 && out % kLanes == 0;
}

std::int64_t WinogradShape::scratch() const {
  const std::int64_t count = std::min(tiles, kStrip), filters = filters_at_once(*this);
  return kCells * (filters * in + count * (in + filters)) + in;
}

std::int64_t winograd_tiles(std::int64_t batch, std::int64_t height, std::int64_t width) {
  return batch * ((height + kResults - 1) / kResults) * ((width + kResults - 1) / kResults);
}

at::Tensor winograd_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  RECORD_FUNCTION("winograd_conv2d", std::vector<c10::IValue>({x, weight, bias}));
  const std::int64_t out = weight.size(0), tiles = winograd_tiles(x.size(0), x.size(2), x.size(3));
  const at::Tensor y = at::empty({x.size(0), out, x.size(2), x.size(3)}, x.options(),
                                 at::MemoryFormat::ChannelsLast);
  const std::int64_t most = filters_at_once({x.size(1), out, tiles});
  const at::Tensor only_strip = tiles <= kStrip ? transformed_tiles(x, 0, tiles) : at::Tensor();
  for (std::int64_t channel = 0; channel < out; channel += most) {
    const Filters filters = transformed(weight, channel, std::min(most, out - channel));
    for (std::int64_t first = 0; first < tiles; first += kStrip)
      convolve_tiles(only_strip.defined()
                         ? only_strip
                         : transformed_tiles(x, first, std::min(kStrip, tiles - first)),
                     filters, bias, y, first);
  }
  return y;
}

}  // namespace emulsion::models

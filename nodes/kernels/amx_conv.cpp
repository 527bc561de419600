#include "kernels/amx_conv.h"

#include <ATen/record_function.h>

#include <cstring>

#include "kernels/amx_product.h"
#include "kernels/take_turns.h"
#include "kernels/tensor_ops.h"
#include "kernels/vector_math.h"

namespace emulsion::kernels {
namespace {

constexpr std::int64_t kMostCopied = 4 << 20;  // elements of a map at a time

// Rows of a map with its zeros, numbered through all samples: of each H and one of zeros.
struct Grid {
  std::int64_t width, rows;  // W + 1; all but the last of zeros
  std::int64_t band;         // rows at a time

  explicit Grid(const AmxConvShape& shape)
      : width(shape.width + 1),
        rows(shape.batch * (shape.height + 1) - 1),
        band(std::clamp<std::int64_t>(kMostCopied / (width * shape.in), 1, rows)) {}

  // Pixels of a band with what lies around it: a row above and below, and a pixel at both ends.
  std::int64_t copied() const { return (band + 2) * width + 2; }
};

// Grid rows first ... first + count - 1 of a map [B, H, W, C], and those around them.
class Band {
 public:
  Band(const AmxConvShape& shape, const Grid& grid, std::int64_t first)
      : shape_(shape), grid_(grid), first_(first), count_(std::min(grid.band, grid.rows - first)) {}

  std::int64_t places() const { return count_ * grid_.width; }

  // to [(count + 2) * width + 2, C]
  void copy(const Bfloat16Bits* x, Bfloat16Bits* to) const {
    const std::int64_t C = shape_.in;
    std::fill_n(to, C, Bfloat16Bits{});
    std::fill_n(to + ((count_ + 2) * grid_.width + 1) * C, C, Bfloat16Bits{});
    take_turns(count_ + 2, [&](std::int64_t i, std::int64_t /*thread*/) {
      Bfloat16Bits* const row = to + (i * grid_.width + 1) * C;
      const std::int64_t from = map_row(first_ + i - 1);
      if (from < 0) {
        std::fill_n(row, grid_.width * C, Bfloat16Bits{});
        return;
      }
      std::memcpy(row, x + from * shape_.width * C,
                  static_cast<std::size_t>(shape_.width * C) * sizeof(*x));
      std::fill_n(row + shape_.width * C, C, Bfloat16Bits{});
    });
  }

  // Where results go, in pixels of the map.
  std::vector<std::int32_t> results() const {
    std::vector<std::int32_t> to;
    to.reserve(static_cast<std::size_t>(places()));
    for (std::int64_t i = 0; i < count_; ++i) {
      const std::int64_t row = map_row(first_ + i);
      for (std::int64_t c = 0; c < grid_.width; ++c)
        to.push_back(
            static_cast<std::int32_t>(row < 0 || c == shape_.width ? -1 : row * shape_.width + c));
    }
    return to;
  }

 private:
  // A grid row's in the map, -1 for zeros.
  std::int64_t map_row(std::int64_t row) const {
    if (row < 0 || row >= grid_.rows) return -1;
    const std::int64_t sample = row / (shape_.height + 1), within = row % (shape_.height + 1);
    return within == shape_.height ? -1 : sample * shape_.height + within;
  }

  const AmxConvShape& shape_;
  const Grid& grid_;
  std::int64_t first_, count_;
};

std::int64_t product_scratch(const AmxConvShape& shape, const Grid& grid, std::int64_t threads) {
  return AmxShape{grid.band * grid.width, shape.in, 9, shape.out}.scratch(threads);
}

// From the first pixel that is copied to the one under each tap of the first place.
std::vector<std::int64_t> taps_of(const AmxConvShape& shape, const Grid& grid) {
  std::vector<std::int64_t> taps;
  for (std::int64_t row = 0; row < 3; ++row)
    for (std::int64_t column = 0; column < 3; ++column)
      taps.push_back((row * grid.width + column) * shape.in);
  return taps;
}

}  // namespace

at::Tensor amx_conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  RECORD_FUNCTION("amx_conv2d", std::vector<c10::IValue>({x, weight, bias}));
  const AmxConvShape shape{x.size(0), x.size(2), x.size(3), x.size(1), weight.size(0)};
  const Grid grid(shape);
  at::Tensor y = at::empty({shape.batch, shape.out, shape.height, shape.width}, x.options(),
                           at::MemoryFormat::ChannelsLast);
  const auto options = x.options().dtype(at::kFloat);
  const at::Tensor wide_bias = bias.to(at::kFloat).contiguous();
  const at::Tensor map = at::empty({grid.copied(), shape.in}, x.options());
  const at::Tensor scratch =
      at::empty({product_scratch(shape, grid, at::get_num_threads())}, options);
  const std::vector<std::int64_t> taps = taps_of(shape, grid);
  for (std::int64_t first = 0; first < grid.rows; first += grid.band) {
    const Band band(shape, grid, first);
    band.copy(static_cast<const Bfloat16Bits*>(x.const_data_ptr()),
              static_cast<Bfloat16Bits*>(map.mutable_data_ptr()));
    multiply_amx({.first = map.const_data_ptr(),
                  .count = band.places(),
                  .stride = shape.in,
                  .depth = shape.in,
                  .taps = taps,
                  .places = band.results()},
                 {weight.const_data_ptr(), shape.out, wide_bias.const_data_ptr<float>()},
                 y.mutable_data_ptr(), scratch);
  }
  return y;
}

std::int64_t AmxConvShape::scratch(std::int64_t threads) const {
  const Grid grid(*this);
  return product_scratch(*this, grid, threads) + grid.copied() * in / 2 + out;
}

}  // namespace emulsion::kernels

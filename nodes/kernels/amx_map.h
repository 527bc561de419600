#pragma once

#include <cstdint>
#include <vector>

#include "kernels/amx_product.h"
#include "kernels/norm_silu.h"
#include "kernels/vector_math.h"

// Maps as the rows of a product: bands of one are copied with zeros around them, so that under
// every tap of a 3x3 kernel pixels lie evenly apart, across rows and samples too.
namespace emulsion::kernels {

// What a convolution makes of the size of its map.
enum class MapChange {
  None,
  Doubled,      // each pixel becomes four before: nearest neighbours
  Halved,       // stride 2, with one pixel of zeros on all sides
  HalvedAtEnd,  // stride 2, with one on the far sides
};

struct AmxMap {
  std::int64_t batch, height, width, channels;
  MapChange change = MapChange::None;

  // Of the results.
  std::int64_t result_height() const { return changed(height); }
  std::int64_t result_width() const { return changed(width); }
  bool is_halved() const { return change == MapChange::Halved || change == MapChange::HalvedAtEnd; }

 private:
  std::int64_t changed(std::int64_t side) const;
};

// The map's rows with a pixel of zeros or two behind each and one row of zeros behind each sample,
// numbered through all samples.  Of a map that is halved a row here is a pair of rows, which lie in
// two planes.
class MapGrid {
 public:
  explicit MapGrid(const AmxMap& map);

  std::int64_t rows() const { return rows_; }
  std::int64_t rows_a_band() const { return band_; }
  // Pixels of a band's copy, and from one place in it to the next.
  std::int64_t copied() const { return planes_ * plane(band_); }
  std::int64_t step() const { return planes_; }
  // Places of so many rows: one for each result, and those at zeros.
  std::int64_t places(std::int64_t rows) const { return rows * width_ / step(); }

  // Rows first ... first + count - 1, and those around them, to [copied(), channels]; with a norm
  // and silu on the way.
  void copy(const Bfloat16Bits* x, std::int64_t first, std::int64_t count,
            const ChannelAffine* norm, Bfloat16Bits* to) const;
  // Taps from the first place of such a copy, with where results go in pixels of the result.
  std::vector<AmxTaps> taps(std::int64_t first, std::int64_t count) const;

 private:
  struct Row {
    std::int64_t sample, within;
  };

  std::int64_t plane(std::int64_t rows) const { return (rows + 2) * width_ + 2; }
  Row row_at(std::int64_t row) const { return {row / (height_ + 1), row % (height_ + 1)}; }
  std::vector<std::int32_t> results(std::int64_t first, std::int64_t count, std::int64_t row,
                                    std::int64_t column) const;

  AmxMap map_;
  std::int64_t planes_, height_, width_;  // height_ without zeros
  std::int64_t rows_;                     // all but the last of zeros
  std::int64_t band_;
};

}  // namespace emulsion::kernels

#include "kernels/amx_map.h"

#include <algorithm>
#include <cstring>

#include "kernels/rounding.h"
#include "kernels/take_turns.h"

namespace emulsion::kernels {
namespace {

constexpr std::int64_t kMostCopied = 4 << 20;  // elements of a map at a time

}  // namespace

std::int64_t AmxMap::changed(std::int64_t side) const {
  switch (change) {
    case MapChange::None: return side;
    case MapChange::Doubled: return 2 * side;
    case MapChange::Halved: return (side + 1) / 2;
    case MapChange::HalvedAtEnd: return side / 2;
  }
  return side;
}

MapGrid::MapGrid(const AmxMap& map)
    : map_(map),
      planes_(map.is_halved() ? 2 : 1),
      height_(map.is_halved() ? map.result_height() : map.height),
      width_(rounded_up(map.width + 1, planes_)),
      rows_(map.batch * (height_ + 1) - 1),
      band_(std::clamp<std::int64_t>(kMostCopied / (planes_ * width_ * map.channels), 1, rows_)) {}

void MapGrid::copy(const Bfloat16Bits* x, std::int64_t first, std::int64_t count,
                   const ChannelAffine* norm, Bfloat16Bits* to) const {
  const std::int64_t C = map_.channels, lines = count + 2;
  take_turns(planes_ * lines, [&](std::int64_t i, std::int64_t /*thread*/) {
    const std::int64_t parity = i / lines, line = i % lines, row = first + line - 1;
    Bfloat16Bits* const begin = to + (parity * plane(count) + line * width_) * C;
    if (line == 0) std::fill_n(begin, C, Bfloat16Bits{});
    if (line + 1 == lines) std::fill_n(begin + (width_ + 1) * C, C, Bfloat16Bits{});
    const auto [sample, within] = row_at(std::max<std::int64_t>(row, 0));
    const std::int64_t from = within * planes_ + parity;
    const bool is_there = row >= 0 && sample < map_.batch && from < map_.height &&
                          (within < height_ || map_.is_halved());
    Bfloat16Bits* const pixels = begin + C;
    const std::int64_t width = is_there ? map_.width : 0;
    const Bfloat16Bits* const source = x + (sample * map_.height + from) * map_.width * C;
    if (norm != nullptr && is_there)
      affine_silu(source, width, *norm, sample, pixels);
    else
      std::memcpy(pixels, source, static_cast<std::size_t>(width * C) * sizeof(*x));
    std::fill_n(pixels + width * C, (width_ - width) * C, Bfloat16Bits{});
  });
}

std::vector<std::int32_t> MapGrid::results(std::int64_t first, std::int64_t count, std::int64_t row,
                                           std::int64_t column) const {
  const std::int64_t times = map_.change == MapChange::Doubled ? 2 : 1;
  const std::int64_t across = map_.result_width(), down = map_.result_height();
  std::vector<std::int32_t> to;
  to.reserve(static_cast<std::size_t>(places(count)));
  for (std::int64_t i = first; i < first + count; ++i) {
    const auto [sample, within] = row_at(i);
    const std::int64_t begin = (sample * down + times * within + row) * across + column;
    for (std::int64_t c = 0; c < width_ / planes_; ++c) {
      const bool is_zero = within == height_ || times * c >= across;
      to.push_back(static_cast<std::int32_t>(is_zero ? -1 : begin + times * c));
    }
  }
  return to;
}

std::vector<AmxTaps> MapGrid::taps(std::int64_t first, std::int64_t count) const {
  // Of a place's pixel, in the first plane.
  const auto begin = [&](std::int64_t down, std::int64_t across) {
    return ((1 + down) * width_ + 1 + across) * map_.channels;
  };
  if (map_.change == MapChange::Doubled) {
    std::vector<AmxTaps> groups;
    for (std::int64_t row = 0; row < 2; ++row)
      for (std::int64_t column = 0; column < 2; ++column) {
        groups.push_back({.begins = {}, .places = results(first, count, row, column)});
        for (std::int64_t i = 0; i < 4; ++i)
          groups.back().begins.push_back(begin(row + i / 2 - 1, column + i % 2 - 1));
      }
    return groups;
  }
  AmxTaps taps{.begins = {}, .places = results(first, count, 0, 0)};
  const std::int64_t before = map_.change == MapChange::HalvedAtEnd ? 0 : 1;
  for (std::int64_t row = -before; row < 3 - before; ++row)
    for (std::int64_t column = -before; column < 3 - before; ++column) {
      // Of two planes, rows -1 and 1 are in the second.
      const std::int64_t down = planes_ == 2 ? (row + 2) / 2 - 1 : row,
                         parity = row & (planes_ - 1);
      taps.begins.push_back(begin(down, column) + parity * plane(count) * map_.channels);
    }
  return {std::move(taps)};
}

}  // namespace emulsion::kernels

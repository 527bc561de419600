#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "emulsion/weights.h"
#include "kernels/amx_write.h"

// Products of bfloat16 in the tile registers of AMX.  Each thread brings sixteen rows of a weight
// side by side (a panel, see panel_tile.h) in its own cache, so that weights lie in memory as in
// their file, and adds the bias to sums that are still in float32.
namespace emulsion::kernels {

// Whether this processor multiplies so many rows of that type so, with weights [out, in]: fewer
// than a tile has cost less than to bring a weight's side by side.  [any thread]
bool amx_takes(c10::ScalarType dtype, std::int64_t rows, std::int64_t in, std::int64_t out);

// Taps of a kernel: where the segment of each begins, in elements from a place, and where each
// place's result goes, in rows of y; -1 for nowhere.  No places: in order.
struct AmxTaps {
  std::vector<std::int64_t> begins;
  std::vector<std::int32_t> places;
};

// Rows that are multiplied: of `count` places, `stride` elements apart, each has a segment of
// `depth` elements for each tap.  Each group of taps gives results of its own.
struct AmxRows {
  const void* first;
  std::int64_t count, stride, depth;
  std::vector<AmxTaps> groups;
};

enum class AmxKernel {
  Matrix,  // [out, depth], for one tap
  Whole,   // [out, depth, 3, 3], for a group of nine taps
  Halves,  // the same, for four groups of four taps: see pack_halves_amx()
};

struct AmxWeight {
  at::Tensor rows;  // bfloat16, or packed bytes [out, row], which threads unpack a slice at a time
  std::int64_t out;
  AmxKernel kernel = AmxKernel::Matrix;
  bool is_gated = false;  // twice as many rows: values and then gates, see gated.h
  Packing packing = Packing::None;

  explicit AmxWeight(const Weight& weight);
  bool is_packed() const { return packing != Packing::None; }
};

// `scratch` is from AmxShape.
void multiply_amx(const AmxRows& rows, const AmxWeight& weight, const AmxResult& result,
                  const at::Tensor& scratch);

// Elements of float32 for rows of so many places, and taps of all groups, on so many threads.
struct AmxShape {
  std::int64_t count, depth, taps, out;
  bool is_gated = false, is_packed = false;
  std::int64_t scratch(std::int64_t threads) const;
};

// x [..., in], weight [out, in], also packed, bias [out] or undefined -> [..., out]
at::Tensor amx_linear(const at::Tensor& x, const Weight& weight, const at::Tensor& bias);
// Onto y [..., out], which is contiguous.
void amx_add_linear_(const at::Tensor& y, const at::Tensor& x, const Weight& weight,
                     const at::Tensor& bias);
// x [..., in], weight [2 D, in], bias [2 D] -> [..., D]
at::Tensor amx_gated_linear(const at::Tensor& x, const Weight& weight, const at::Tensor& bias);
// What operators are recorded with: a tensor of the weight's shape, packed or not.
at::Tensor in_its_shape(const Weight& weight);
// Elements of float32 that either allocates besides its result.
std::int64_t amx_linear_scratch(const AmxShape& shape, std::int64_t threads);

}  // namespace emulsion::kernels

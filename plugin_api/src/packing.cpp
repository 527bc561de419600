#include "emulsion/packing.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>

#include <limits>

namespace emulsion {
namespace {

constexpr std::int64_t kScaleBytes = 4;  // before an Int8 row
constexpr std::int64_t kHalf = 2, kHighBits = 4;
constexpr double kMostInt8 = 127;

// "Has a bit of 5 apart", "has a minimum": what GGUF's blocks differ in, but for Q8_0.
bool has_high_bits(Packing packing) { return packing == Packing::Q5_0 || packing == Packing::Q5_1; }
bool has_minimum(Packing packing) { return packing == Packing::Q4_1 || packing == Packing::Q5_1; }

std::int64_t row_length(const TensorSpec& spec) { return spec.count() / spec.shape.front(); }

// Columns `first` to `last` of bytes [..., b] as numbers of another type.
at::Tensor field(const at::Tensor& bytes, std::int64_t first, std::int64_t last,
                 c10::ScalarType dtype) {
  return bytes.slice(-1, first, last).contiguous().view(dtype).to(at::kFloat);
}

at::Tensor unpacked_int8(const at::Tensor& bytes) {
  return field(bytes, kScaleBytes, bytes.size(1), at::kChar)
      .mul_(field(bytes, 0, kScaleBytes, at::kFloat));
}

// blocks [n, b] -> the numbers from 0 on, float32 [n, 32]
at::Tensor low_numbers(const at::Tensor& blocks, Packing packing) {
  const at::Tensor nibbles = blocks.slice(1, block_bytes(packing) - kPackedBlock / 2);
  at::Tensor numbers = at::cat({nibbles.bitwise_and(15), nibbles.__rshift__(4)}, 1);
  if (has_high_bits(packing)) {
    const std::int64_t begin = has_minimum(packing) ? 2 * kHalf : kHalf;
    const at::Tensor high = blocks.slice(1, begin, begin + kHighBits).unsqueeze(2);  // [n, 4, 1]
    const at::Tensor bits = at::arange(8, blocks.options());
    numbers.add_(high.__rshift__(bits).bitwise_and_(1).view({-1, kPackedBlock}), 16);
  }
  return numbers.to(at::kFloat);
}

// blocks [n, b] -> float32 [n, 32]
at::Tensor unpacked_blocks(const at::Tensor& blocks, Packing packing) {
  const at::Tensor scale = field(blocks, 0, kHalf, at::kHalf);
  if (packing == Packing::Q8_0)
    return field(blocks, kHalf, block_bytes(packing), at::kChar).mul_(scale);
  at::Tensor numbers = low_numbers(blocks, packing);
  if (has_minimum(packing))
    return numbers.mul_(scale).add_(field(blocks, kHalf, 2 * kHalf, at::kHalf));
  return numbers.sub_(has_high_bits(packing) ? 16 : 8).mul_(scale);
}

}  // namespace

std::string_view to_text(Packing packing) {
  switch (packing) {
    case Packing::None: return "none";
    case Packing::Int8: return "int8";
    case Packing::Q8_0: return "q8_0";
    case Packing::Q4_0: return "q4_0";
    case Packing::Q4_1: return "q4_1";
    case Packing::Q5_0: return "q5_0";
    case Packing::Q5_1: return "q5_1";
  }
  return {};
}

std::int64_t block_bytes(Packing packing) {
  if (packing == Packing::Q8_0) return kHalf + kPackedBlock;
  return kHalf + (has_minimum(packing) ? kHalf : 0) + (has_high_bits(packing) ? kHighBits : 0) +
         kPackedBlock / 2;
}

bool is_packable(Packing packing, const TensorSpec& spec) {
  if (packing == Packing::None || spec.shape.size() < 2 || spec.count() == 0) return false;
  return packing == Packing::Int8 || row_length(spec) % kPackedBlock == 0;
}

TensorSpec packed_spec(Packing packing, const TensorSpec& spec) {
  if (packing == Packing::None) return spec;
  const std::int64_t n = row_length(spec);
  const std::int64_t row =
      packing == Packing::Int8 ? kScaleBytes + n : n / kPackedBlock * block_bytes(packing);
  return {{spec.shape.front(), row}, at::kByte};
}

at::Tensor unpacked(const at::Tensor& bytes, Packing packing) {
  if (packing == Packing::Int8) return unpacked_int8(bytes);
  const at::Tensor blocks = bytes.reshape({-1, block_bytes(packing)});
  return unpacked_blocks(blocks, packing).view({bytes.size(0), -1});
}

at::Tensor packed_int8(const at::Tensor& rows) {
  const at::Tensor scale = rows.abs().amax(1, /*keepdim=*/true).div_(kMostInt8);  // [rows, 1]
  // A row of zeros has the scale 0: any divisor does.  One with what is no number has NaN.
  scale.masked_fill_(scale.isinf(), std::numeric_limits<double>::quiet_NaN());
  const at::Tensor divisor = scale.masked_fill(scale.eq(0), 1);
  const at::Tensor numbers =
      rows.div(divisor).round_().clamp_(-kMostInt8, kMostInt8).nan_to_num_().to(at::kChar);
  return at::cat({scale.view(at::kByte), numbers.view(at::kByte)}, 1);
}

at::Tensor packed_scales(const at::Tensor& bytes, Packing packing) {
  if (packing == Packing::Int8) return field(bytes, 0, kScaleBytes, at::kFloat);
  return field(bytes.reshape({-1, block_bytes(packing)}), 0,
               has_minimum(packing) ? 2 * kHalf : kHalf, at::kHalf);
}

}  // namespace emulsion

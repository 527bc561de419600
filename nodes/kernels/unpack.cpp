#include "kernels/unpack.h"

#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <c10/util/Half.h>

#include <cstring>

#include "kernels/tensor_ops.h"
#include "kernels/vector_clones.h"
#include "kernels/vector_math.h"

namespace emulsion::kernels {
namespace {

constexpr std::int64_t kGrain = 1 << 15;   // numbers that a thread takes at least
constexpr std::int64_t kAtOnce = 1 << 16;  // numbers that the plain form works on: see unpacked()
constexpr std::int64_t kBlock = kPackedBlock, kHalfBlock = kPackedBlock / 2;

template <class Field>
EMULSION_INLINED Field field(const std::uint8_t* bytes) {
  Field value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

EMULSION_INLINED float half(const std::uint8_t* bytes) {
  return c10::detail::fp16_ieee_to_fp32_value(field<std::uint16_t>(bytes));
}

// From number `first` of a row on.
template <class Element>
EMULSION_INLINED void unpack_int8(const std::uint8_t* row, std::int64_t first, std::int64_t n,
                                  Element* __restrict into) {
  const auto scale = field<float>(row);
  const auto* numbers = reinterpret_cast<const std::int8_t*>(row + sizeof scale) + first;
  for (std::int64_t i = 0; i < n; ++i) narrow(scale * static_cast<float>(numbers[i]), into[i]);
}

template <class Element>
EMULSION_INLINED void unpack_q8_0(const std::uint8_t* bytes, std::int64_t n,
                                  Element* __restrict into) {
  for (; n > 0; n -= kBlock, bytes += 2 + kBlock, into += kBlock) {
    const float scale = half(bytes);
    const auto* numbers = reinterpret_cast<const std::int8_t*>(bytes + 2);
    for (std::int64_t i = 0; i < kBlock; ++i)
      narrow(scale * static_cast<float>(numbers[i]), into[i]);
  }
}

// Scale q + shift, where q has 4 bits and, with `high`, a fifth.
template <class Element>
EMULSION_INLINED void unpack_nibbles(const std::uint8_t* nibbles, std::uint32_t high, float scale,
                                     float shift, Element* __restrict into) {
  for (std::int64_t i = 0; i < kHalfBlock; ++i) {
    const auto first = static_cast<std::int32_t>((nibbles[i] & 15U) | ((high >> i & 1U) << 4));
    const auto second = static_cast<std::int32_t>(static_cast<std::uint32_t>(nibbles[i] >> 4) |
                                                  ((high >> (i + kHalfBlock) & 1U) << 4));
    narrow(scale * static_cast<float>(first) + shift, into[i]);
    narrow(scale * static_cast<float>(second) + shift, into[i + kHalfBlock]);
  }
}

// The blocks of 4 and 5 bits.
template <class Element>
EMULSION_INLINED void unpack_small(const std::uint8_t* bytes, std::int64_t n, Packing packing,
                                   Element* __restrict into) {
  const bool has_high = packing == Packing::Q5_0 || packing == Packing::Q5_1;
  const bool has_minimum = packing == Packing::Q4_1 || packing == Packing::Q5_1;
  const std::int64_t high_at = has_minimum ? 4 : 2, numbers_at = high_at + (has_high ? 4 : 0);
  const float middle = has_high ? 16 : 8;
  for (; n > 0; n -= kBlock, bytes += numbers_at + kHalfBlock, into += kBlock) {
    const float scale = half(bytes);
    const float shift = has_minimum ? half(bytes + 2) : -middle * scale;
    const std::uint32_t high = has_high ? field<std::uint32_t>(bytes + high_at) : 0;
    unpack_nibbles(bytes + numbers_at, high, scale, shift, into);
  }
}

// From number `first` of a row on, which begins a block.
template <class Element>
EMULSION_INLINED void unpack(const std::uint8_t* row, std::int64_t first, std::int64_t n,
                             Packing packing, Element* into) {
  if (packing == Packing::Int8) return unpack_int8(row, first, n, into);
  const std::uint8_t* const bytes = row + first / kBlock * block_bytes(packing);
  switch (packing) {
    case Packing::None:
    case Packing::Int8: return;
    case Packing::Q8_0: unpack_q8_0(bytes, n, into); return;
    case Packing::Q4_0: unpack_small(bytes, n, Packing::Q4_0, into); return;
    case Packing::Q4_1: unpack_small(bytes, n, Packing::Q4_1, into); return;
    case Packing::Q5_0: unpack_small(bytes, n, Packing::Q5_0, into); return;
    case Packing::Q5_1: unpack_small(bytes, n, Packing::Q5_1, into); return;
  }
}

EMULSION_VECTOR_CLONES void unpack_row(const std::uint8_t* row, std::int64_t first, std::int64_t n,
                                       Packing packing, float* into) {
  unpack(row, first, n, packing, into);
}

EMULSION_VECTOR_CLONES void unpack_row(const std::uint8_t* row, std::int64_t first, std::int64_t n,
                                       Packing packing, Bfloat16Bits* into) {
  unpack(row, first, n, packing, into);
}

// bytes [rows, row] -> into [rows, n]
template <class Element>
void unpack_rows(const at::Tensor& bytes, Packing packing, const at::Tensor& into) {
  const std::int64_t row = bytes.size(1), n = into.size(1);
  const auto* from = bytes.const_data_ptr<std::uint8_t>();
  auto* to = static_cast<Element*>(into.mutable_data_ptr());
  at::parallel_for(0, bytes.size(0), 1 + kGrain / n, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r)
      unpack_row(from + r * row, 0, n, packing, to + r * n);
  });
}

// The same for other devices and types, a few rows after the other.
void unpack_plainly(const at::Tensor& bytes, Packing packing, const at::Tensor& into) {
  const std::int64_t rows = bytes.size(0), step = 1 + kAtOnce / into.size(1);
  for (std::int64_t begin = 0; begin < rows; begin += step) {
    const std::int64_t count = std::min(step, rows - begin);
    into.narrow(0, begin, count).copy_(unpacked(bytes.narrow(0, begin, count), packing));
  }
}

}  // namespace

at::Tensor unpacked_rows(const Weight& weight, std::int64_t begin, std::int64_t count,
                         c10::ScalarType dtype) {
  RECORD_FUNCTION("unpack_weight", std::vector<c10::IValue>({weight.data}));
  const at::Tensor bytes = weight.data.narrow(0, begin, count);
  std::vector<std::int64_t> shape = weight.spec.shape;
  shape.front() = count;
  at::Tensor result = at::empty(shape, bytes.options().dtype(dtype));
  const at::Tensor rows = result.view({count, -1});
  if (!bytes.is_cpu() || (dtype != at::kFloat && dtype != at::kBFloat16))
    unpack_plainly(bytes, weight.packing, rows);
  else if (dtype == at::kFloat)
    unpack_rows<float>(bytes, weight.packing, rows);
  else
    unpack_rows<Bfloat16Bits>(bytes, weight.packing, rows);
  return result;
}

Weight plain_weight(const at::Tensor& numbers) {
  return {{numbers.sizes().vec(), numbers.scalar_type()}, numbers};
}

void unpack_numbers(const std::uint8_t* row, std::int64_t first, std::int64_t count,
                    Packing packing, float* into) {
  unpack_row(row, first, count, packing, into);
}

void unpack_numbers(const std::uint8_t* row, std::int64_t first, std::int64_t count,
                    Packing packing, Bfloat16Bits* into) {
  unpack_row(row, first, count, packing, into);
}

}  // namespace emulsion::kernels

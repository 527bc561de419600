#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>

#include "emulsion/value.h"

namespace emulsion {

// Fewer bits for the numbers of a weight [out, …].  A packed one is bytes [out, row]: what one
// output channel has, n numbers, is a row by itself.
//   Int8         a float32 scale, then n signed bytes q: scale q
//   Q8_0 … Q5_1  GGUF's blocks of 32 numbers, each with a float16 scale d, and m where there is
//   one:
//                d q with a signed byte q, d (q - 8) and d q + m with 4 bits, d (q - 16) and d q +
//                m with 5 bits
enum class Packing : std::uint8_t { None, Int8, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 };

inline constexpr std::int64_t kPackedBlock = 32;  // numbers in each of GGUF's blocks

EMULSION_API std::string_view to_text(Packing packing);  // "int8", "q8_0"

// Bytes of one of GGUF's blocks.  [any thread]
EMULSION_API std::int64_t block_bytes(Packing packing);

// True where a tensor of this shape can be packed so: at least two axes, and rows of whole blocks.
// [any thread]
EMULSION_API bool is_packable(Packing packing, const TensorSpec& spec);

// The rows and bytes of a packed tensor, or the spec itself for None.  [any thread]
EMULSION_API TensorSpec packed_spec(Packing packing, const TensorSpec& spec);

// bytes [rows, row] -> float32 [rows, n], on the same device.  It takes up to eight times the
// result's memory for a moment.  [any thread]
EMULSION_API at::Tensor unpacked(const at::Tensor& bytes, Packing packing);

// float32 [rows, n] -> bytes [rows, row] as Int8, with the scale that the largest magnitude of the
// row needs: each number is at most half a scale off.  [any thread]
EMULSION_API at::Tensor packed_int8(const at::Tensor& rows);

// The scales of packed bytes [rows, row], one by row or by block: what is not finite in a tensor
// shows in them.  [any thread]
EMULSION_API at::Tensor packed_scales(const at::Tensor& bytes, Packing packing);

}  // namespace emulsion

#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "emulsion/weights.h"
#include "kernels/amx_map.h"
#include "kernels/conv.h"

namespace emulsion::kernels {

// 3x3 convolutions as products in the tile registers of AMX (amx_product.h), on copies of a map by
// bands (amx_map.h).
// x [B, in, H, W] channels last, weight [out, in, 3, 3], also packed, bias [out], bfloat16
// on the CPU -> [B, out, H', W'] channels last
at::Tensor amx_conv2d(const at::Tensor& x, const Weight& weight, const at::Tensor& bias,
                      MapChange change = MapChange::None, const ConvFusion& fusion = {});

// Whether this processor has it for maps of that type.  [any thread]
bool amx_takes(c10::ScalarType dtype, const AmxMap& map, std::int64_t out);

// Elements of float32 that are allocated on so many threads, besides the result, to which `out`
// channels are given.
std::int64_t amx_conv_scratch(const AmxMap& map, std::int64_t out, bool is_packed,
                              std::int64_t threads);

}  // namespace emulsion::kernels

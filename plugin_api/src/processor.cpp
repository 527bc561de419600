#include "emulsion/processor.h"

namespace emulsion {

Bfloat16 bfloat16_products() {
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512bf16") != 0) return Bfloat16::Supported;
  const bool has_kernels = __builtin_cpu_supports("avx512bw") != 0 &&
                           __builtin_cpu_supports("avx512vl") != 0 &&
                           __builtin_cpu_supports("avx512dq") != 0;
  return has_kernels ? Bfloat16::Widened : Bfloat16::None;
#else
  return Bfloat16::Widened;
#endif
}

}  // namespace emulsion

#pragma once

// Before a function whose loops are to run at the width of the processor's vectors: it is compiled
// for each, and the loader takes the widest that is there.  What it calls must be inlined.
#if defined(__x86_64__) && defined(__ELF__) && defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__)
#define EMULSION_VECTOR_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EMULSION_VECTOR_CLONES
#endif

// Before a function that is only called where the processor has these instructions.
#if defined(__x86_64__) && defined(__GNUC__)
#define EMULSION_AVX2 __attribute__((target("avx2,fma")))
// Compilers make no products of bfloat16 by themselves: what has none runs on any AVX-512.
#define EMULSION_AVX512 __attribute__((target("avx512f,avx512bf16,fma,prefer-vector-width=512")))
// As processors with products of pairs have it.
#define EMULSION_AVX512_PAIRS \
  __attribute__((             \
      target("avx512f,avx512dq,avx512bw,avx512vl,avx512bf16,fma,prefer-vector-width=512")))
#else
#define EMULSION_AVX2
#endif

#if defined(__GNUC__)
#define EMULSION_INLINED inline __attribute__((always_inline))
#else
#define EMULSION_INLINED inline
#endif

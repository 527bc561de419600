#pragma once

#include <cstdint>

#include "kernels/vector_math.h"

// Attention of some queries to some keys in the tile registers of AMX.  Scores go from these
// through the softmax while they are in the first cache.
namespace emulsion::kernels {

inline constexpr std::int64_t kAmxQueries = 32;   // that are worked on at once
inline constexpr std::int64_t kAmxKeyBlock = 32;  // keys come in so many
// What sums of weights take in memory: [kAmxQueries, kAmxSumColumns], of which the first counts.
inline constexpr std::int64_t kAmxSumColumns = 16;

struct AmxScores {
  const Bfloat16Bits* queries;  // [kAmxQueries, width], the width a multiple of 32
  const float* keys;            // panels of pairs [padded / 16, width / 2, 16]
  std::int64_t width;
  std::int64_t count, padded;  // keys, and the same as a multiple of kAmxKeyBlock
  float scale;                 // what a power of two is taken of, over the product
};

// What the weights of those keys are for.
struct AmxValues {
  const float* panels;     // of pairs of keys [columns / 16, distance], each [padded / 2, 16]
  std::int64_t distance;   // in words
  std::int64_t columns;    // a multiple of 16
  float *sums, *together;  // [kAmxQueries, columns], and of the weights alone
};

// Tile registers as the functions below need them, for this thread until it goes.  [one thread]
class AmxTiles {
 public:
  AmxTiles();
  ~AmxTiles();
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;
};

// Each of `highest` [kAmxQueries] becomes the highest scaled score if that is higher.
void raise_amx(const AmxScores& scores, float* highest);

// 2^(scaled score - highest), rounded to bfloat16 from 7.5e-5 of it -> [kAmxQueries, stride]; 0 for
// padding.
void weigh_amx(const AmxScores& scores, const float* highest, Bfloat16Bits* weights,
               std::int64_t stride);

// The same after raise_amx() with the first kAmxKeyBlock keys alone.
void raise_and_weigh_amx(const AmxScores& scores, float* highest, Bfloat16Bits* weights,
                         std::int64_t stride);

// Adds the values of `padded` keys, and their weights, to the sums.
void add_values_amx(const Bfloat16Bits* weights, std::int64_t stride, std::int64_t padded,
                    const AmxValues& values);

}  // namespace emulsion::kernels

#pragma once

#include <algorithm>

#include "models/cost.h"

namespace emulsion::models {

// A convolution from a map of `in` channels and `from` pixels to one of `out` channels and `to`.
struct ConvStep {
  std::int64_t in, out, kernel, from, to, batch;
  std::int64_t tiles = 0;  // of a convolution by tiles, if its shape allows that

  std::int64_t scratch() const;  // elements: of what conv2d() allocates, all but the result
  std::int64_t weights() const { return in * out * kernel * kernel; }
  std::int64_t input() const { return in * from; }
  std::int64_t result() const { return out * to; }
};

// Follows a model through its code: what it holds, the most that it has held, and its work.
class Tally {
 public:
  explicit Tally(c10::ScalarType dtype, const BranchLoad& branches = {});

  c10::ScalarType dtype() const { return dtype_; }
  bool unpacks_kernels() const { return branches_.convolutions.packed > 0; }
  // A CPU does products in float32; see widens() in layers.h.
  bool widens() const { return widens_; }

  void hold(std::int64_t elements) {
    held_ += elements * element_;
    pass(0);
  }
  void drop(std::int64_t elements) { held_ -= elements * element_; }
  // Holds `elements`, and `more` bytes, for a moment.
  void pass(std::int64_t elements, Bytes more = 0) {
    peak_ = std::max(peak_, held_ + elements * element_ + more);
  }
  // The same on a CPU alone.
  void pass_on_cpu(std::int64_t elements, Bytes more) {
    cpu_peak_ = std::max(cpu_peak_, held_ + elements * element_ + more);
  }

  // A matrix product of so many columns packs a part of its weights.
  void pack(std::int64_t in);

  // Each layer's part in the work; touch() counts reads and writes of so many elements.
  void convolve(const ConvStep& step);
  void multiply(std::int64_t rows, std::int64_t in, std::int64_t out);
  void attend(double multiply_adds) { work_.attention += 2 * multiply_adds; }
  void norm(std::int64_t elements) { touch(3 * elements); }      // read twice, written
  void activate(std::int64_t elements) { touch(2 * elements); }  // in place
  void add(std::int64_t elements) { touch(3 * elements); }       // in place
  void copy(std::int64_t elements) { touch(2 * elements); }
  void touch(std::int64_t elements) { work_.traffic += static_cast<double>(elements * element_); }

  Cost cost() const;

 private:
  // Packed weights of so many numbers are unpacked once.
  void unpack(const BranchLoad::Kind& kind, std::int64_t numbers);
  // What branches give is added to `elements`.
  void add_branches(const BranchLoad::Kind& beside, std::int64_t elements);

  c10::ScalarType dtype_;
  bool widens_;
  Bytes element_, held_ = 0, peak_ = 0, cpu_peak_ = 0;
  Bytes packed_ = 0;   // the most that any product packs
  Bytes widened_ = 0;  // the largest product's arguments and result in float32
  BranchLoad branches_;
  Bytes branch_ = 0;    // the most that a branch takes while it runs
  Bytes unpacked_ = 0;  // the most that a linear layer takes to unpack its weight by tiles
  Work work_;
};

ConvStep same_size(const MapBatch& map, std::int64_t in, std::int64_t out, std::int64_t kernel = 3);

// An attention of B samples with L tokens, each of which looks at S.
struct AttentionStep {
  std::int64_t width, heads, B, L, S;
};

// Each holds its result besides its input.
void conv(Tally& tally, const ConvStep& step);
void resnet(Tally& tally, std::int64_t in, std::int64_t out, const MapBatch& map, bool has_time);
// What attention() allocates besides its arguments, for a moment.
void attend(Tally& tally, const AttentionStep& step);

}  // namespace emulsion::models

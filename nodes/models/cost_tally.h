#pragma once

#include <algorithm>
#include <optional>

#include "kernels/amx_conv.h"
#include "kernels/winograd.h"
#include "models/cost.h"

namespace emulsion::models {

// A convolution from a map of `in` channels to one of `out` channels and `to` pixels.
struct ConvStep {
  std::int64_t in, out, kernel;
  MapBatch map;
  std::int64_t to;
  kernels::MapChange change = kernels::MapChange::None;

  // Whether a CPU has a kernel of ours for it, and whether that is the one for tile registers, or
  // that which cuts maps into tiles.
  bool is_own(c10::ScalarType dtype) const;
  bool goes_by_amx(c10::ScalarType dtype) const;
  bool goes_by_tiles(c10::ScalarType dtype) const;
  // Elements that conv2d() allocates besides the result: by the libraries' kernels, and in float32
  // by those of ours for maps of a dtype.
  std::int64_t scratch() const;
  std::int64_t own_scratch(c10::ScalarType dtype, bool is_packed, std::int64_t threads) const;
  // Of its input, what each thread of oneDNN's kernels for tile registers copies at a time.
  Bytes copied() const;
  std::int64_t weights() const { return in * out * kernel * kernel; }
  std::int64_t input() const { return in * map.pixels(); }
  std::int64_t result() const { return out * to; }

 private:
  bool keeps_size() const { return to == map.pixels(); }
  bool is_linear() const { return kernel == 1 && keeps_size(); }
  kernels::AmxMap amx_map() const { return {map.batch, map.height, map.width, in, change}; }
  kernels::WinogradShape tiled() const;
};

// Follows a model through its code: what it holds, the most that it has held, and its work.
class Tally {
 public:
  // `is_given_norms`: their statistics are not those of their input.
  explicit Tally(c10::ScalarType dtype, const BranchLoad& branches = {},
                 bool is_given_norms = false);

  c10::ScalarType dtype() const { return dtype_; }
  // Whether a convolution may do norms, and changes of the size, on its way.
  bool fuses_norms() const { return branches_.convolutions.rank == 0 && !is_given_norms_; }
  bool fuses_sizes() const { return branches_.convolutions.rank == 0; }
  bool unpacks_kernels() const { return branches_.convolutions.packed > 0; }
  // A CPU does products in float32, see widens() in layers.h.
  bool widens() const { return widens_; }
  std::int64_t threads() const { return threads_; }

  void hold(std::int64_t elements) {
    hold_elsewhere(elements);
    hold_on_cpu(elements);
  }
  void drop(std::int64_t elements) { hold(-elements); }
  // A CPU alone, and all other devices.
  void hold_on_cpu(std::int64_t elements) {
    cpu_held_ += elements * element_;
    pass_on_cpu(0, 0);
  }
  void hold_elsewhere(std::int64_t elements) {
    held_ += elements * element_;
    pass_elsewhere(0);
  }
  // Holds `elements`, and `more` bytes, for a moment.
  void pass(std::int64_t elements, Bytes more = 0) {
    pass_elsewhere(elements, more);
    pass_on_cpu(elements, more);
  }
  void pass_on_cpu(std::int64_t elements, Bytes more) {
    cpu_peak_ = std::max(cpu_peak_, cpu_held_ + elements * element_ + more);
  }
  void pass_elsewhere(std::int64_t elements, Bytes more = 0) {
    peak_ = std::max(peak_, held_ + elements * element_ + more);
  }

  // What a library's product of so many columns packs of its weights for a moment.
  Bytes packing(std::int64_t in) const;

  // Each layer's part in the work; touch() counts reads and writes of so many elements.
  void convolve(const ConvStep& step);
  // Products count the moment too, on a CPU that widens: their results are not held yet.
  void multiply(std::int64_t rows, std::int64_t in, std::int64_t out);
  // A product whose work is counted elsewhere: its moment alone.
  void pass_product(std::int64_t rows, std::int64_t in, std::int64_t out) {
    const Work before = work_;
    multiply(rows, in, out);
    work_ = before;
  }
  // Of FeedForward, the first product and its gates: to so many columns, which are held in the end.
  void multiply_gated(std::int64_t rows, std::int64_t in, std::int64_t out);
  void attend(double multiply_adds) { work_.attention += 2 * multiply_adds; }
  void norm(std::int64_t elements) { touch(3 * elements); }      // read twice, written
  void activate(std::int64_t elements) { touch(2 * elements); }  // in place
  void add(std::int64_t elements) { touch(3 * elements); }       // in place
  void copy(std::int64_t elements) { touch(2 * elements); }
  void touch(std::int64_t elements) { work_.traffic += static_cast<double>(elements * element_); }

  Bytes held() const { return held_; }
  Cost cost() const;

 private:
  // What a CPU allocates besides the result of a product, and any device besides a convolution's.
  Bytes beside(std::int64_t rows, std::int64_t in, std::int64_t out) const;
  Bytes beside(const ConvStep& step) const;
  // Elements of float32 that products in tile registers take.
  std::int64_t amx_scratch(std::int64_t rows, std::int64_t in, std::int64_t out,
                           bool is_gated = false) const;
  // The same of panels.
  std::int64_t panel_scratch(std::int64_t rows, std::int64_t in, std::int64_t out) const;
  // Of either where gates are taken within the product.
  std::optional<std::int64_t> gated_scratch(std::int64_t rows, std::int64_t in,
                                            std::int64_t out) const;
  // Of a linear layer, where weights are packed.
  void count_unpacking(std::int64_t rows, std::int64_t in, std::int64_t out);
  // Packed weights of so many numbers are unpacked once.
  void unpack(const BranchLoad::Kind& kind, std::int64_t numbers);
  // What branches give is added to `elements`.
  void add_branches(const BranchLoad::Kind& beside, std::int64_t elements);

  c10::ScalarType dtype_;
  bool by_panels_, widens_;  // by_panels_: a CPU multiplies so, see panel_product.h
  std::int64_t threads_;
  Bytes element_, held_ = 0, cpu_held_ = 0, peak_ = 0, cpu_peak_ = 0;
  bool is_given_norms_;
  BranchLoad branches_;
  Bytes branch_ = 0;  // the most that a branch takes while it runs
  // The most that a linear layer takes to unpack its weight by tiles, on a CPU and elsewhere.
  Bytes cpu_unpacked_ = 0, unpacked_ = 0;
  Work work_;
};

ConvStep same_size(const MapBatch& map, std::int64_t in, std::int64_t out, std::int64_t kernel = 3);

// An attention of B samples with L tokens, each of which looks at S.
struct AttentionStep {
  std::int64_t width, heads, B, L, S;
  bool is_causal = false;
  bool is_kept = false;  // what is attended to: its keys and values are made once for many
};

// Its result takes the place of its input: from C channels of `before` to those of `after`.
void upsampled(Tally& tally, std::int64_t C, const MapBatch& before, const MapBatch& after);

// Each holds its result besides its input.
void downsampled(Tally& tally, std::int64_t C, const MapBatch& before, const MapBatch& after,
                 std::int64_t padding);
void conv(Tally& tally, const ConvStep& step);
// `time`: width of the time embedding, 0 without.
void resnet(Tally& tally, std::int64_t in, std::int64_t out, const MapBatch& map,
            std::int64_t time);
// What attention() allocates besides its arguments, for a moment.
void attend(Tally& tally, const AttentionStep& step);
// The whole of Attention with its four products; it holds nothing in the end.
void attention(Tally& tally, const AttentionStep& step, std::int64_t context_width);

}  // namespace emulsion::models

#include "models/cost_tally.h"

#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>

#include "emulsion/processor.h"
#include "models/attention.h"
#include "models/packed_layers.h"
#include "models/unfolded_conv.h"
#include "models/winograd.h"

namespace emulsion::models {
namespace {

constexpr Bytes kFloat = 4;
constexpr std::int64_t kSmallConvolution = 20480;  // elements of the input of one sample
// Of a product's weights, what each thread of oneDNN's kernels packs at a time.
constexpr std::int64_t kPackedRows = 1024, kPackedColumns = 64;
// What is too small to follow: statistics of norms, the time embedding, rounding of allocations.
constexpr Bytes kSmall = 128 * kKiB;
// What unpacking takes where there is no kernel of ours for it.
constexpr Bytes kUnpacking = 2 * kMiB;

// Scores and their softmax, and a head's queries, keys and values; the keys again, turned.
void attend_in_tiles(Tally& tally, const AttentionStep& step) {
  const std::int64_t K = step.width / step.heads, rows = std::min(step.L, kAttentionRows);
  tally.pass(step.B * step.L * step.width + (2 * rows + 3 * K) * step.S + (step.L + rows) * K);
}

// Keys and values packed where the processor multiplies them so, the logarithms of the sums, and
// what each thread has, in blocks as ATen/native/cpu/FlashAttentionKernel.cpp cuts them.
void attend_fused(Tally& tally, const AttentionStep& step) {
  const bool packs = at::native::cpublas::could_pack(tally.dtype());
  const std::int64_t packed = packs ? 2 * step.B * step.S * step.width : 0;
  const std::int64_t q_block = step.L >= 768 ? 256 : step.L >= 192 ? 64 : 32;
  const std::int64_t thread =
      q_block * (2 * std::min<std::int64_t>(step.S, 512) + step.width / step.heads + 2);
  tally.pass(step.B * step.L * step.width + packed,
             (step.B * step.heads * step.L + thread * at::get_num_threads()) * kFloat);
}

// What conv2d() allocates in float32 on a CPU, all but the result, in elements.
std::int64_t float_scratch(const ConvStep& step) {
  const WinogradShape tiled{step.in, step.out, step.tiles};
  const UnfoldedShape unfolded{step.in, step.out, step.to};
  if (step.tiles > 0 && tiled.pays()) return tiled.scratch();
  if (step.tiles > 0 && unfolded.pays()) return unfolded.scratch();
  return step.scratch();
}

}  // namespace

Tally::Tally(c10::ScalarType dtype, const BranchLoad& branches)
    : dtype_(dtype),
      widens_(dtype == at::kBFloat16 && bfloat16_products() == Bfloat16::None),
      element_(static_cast<Bytes>(c10::elementSize(dtype))),
      branches_(branches) {}

Work repeated(const Work& work, double times) {
  return {.convolution = times * work.convolution,
          .product = times * work.product,
          .attention = times * work.attention,
          .traffic = times * work.traffic};
}

void Tally::pack(std::int64_t in) {
  const Bytes element = widens_ ? kFloat : element_;
  packed_ = std::max(packed_, std::min(in, kPackedRows) * kPackedColumns * element);
}

void Tally::multiply(std::int64_t rows, std::int64_t in, std::int64_t out) {
  pack(in);
  const std::int64_t at_once = std::min(rows, kWidenedRows);
  if (widens_) widened_ = std::max(widened_, (at_once * (in + out) + in * out) * kFloat);
  const BranchLoad::Kind& beside = branches_.linears;
  work_.product +=
      2 * static_cast<double>(rows) * static_cast<double>(in * out) * (1 + beside.parameters);
  add_branches(beside, rows * out);
  branch_ = std::max(branch_, beside.rank * (rows + in + out) * element_);
  if (beside.packed == 0) return;
  unpack(beside, (widens_ ? rows / kWidenedRows + 1 : 1) * in * out);
  const std::int64_t tile = unpacked_outputs(in, out), result = tile < out ? rows * tile : 0;
  unpacked_ = std::max(unpacked_, (in * tile + result) * element_);
}

void Tally::convolve(const ConvStep& step) {
  const BranchLoad::Kind& beside = branches_.convolutions;
  work_.convolution += 2 * static_cast<double>(step.in * step.kernel * step.kernel) *
                       static_cast<double>(step.result()) * (1 + beside.parameters);
  add_branches(beside, step.result());
  unpack(beside, step.weights());
  if (beside.rank == 0) return;
  const ConvStep down{step.in, beside.rank, step.kernel, step.from, step.to, step.batch};
  const ConvStep up{beside.rank, step.out, 1, step.to, step.to, step.batch};
  const std::int64_t low = down.result(), to_low = low + down.scratch(),
                     from_low = low + up.result() + up.scratch();
  branch_ = std::max({branch_, to_low * element_, from_low * element_});
  if (widens_) widened_ = std::max(widened_, (down.input() + down.weights() + to_low) * kFloat);
}

// They are written and read again.
void Tally::unpack(const BranchLoad::Kind& kind, std::int64_t numbers) {
  work_.traffic += kind.packed * static_cast<double>(2 * numbers * (widens_ ? kFloat : element_));
}

void Tally::add_branches(const BranchLoad::Kind& beside, std::int64_t elements) {
  work_.traffic += beside.count * static_cast<double>(3 * elements * element_);
}

Cost Tally::cost() const {
  const bool unpacks = branches_.linears.packed > 0 || branches_.convolutions.packed > 0;
  return {.workspace = peak_ + branch_ + unpacked_ + packed_ * at::get_num_threads() + kSmall +
                       (unpacks ? kUnpacking : 0),
          .work = work_,
          .cpu_workspace = std::max<Bytes>(0, cpu_peak_ - peak_) + widened_};
}

std::int64_t ConvStep::scratch() const {
  // LibTorch unfolds the input of a convolution that is too small for its library.
  const bool is_small = batch == 1 && input() <= kSmallConvolution;
  const std::int64_t unfolded = is_small ? in * kernel * kernel * to : 0;
  // The weights in the library's order; besides, the weights with channels last, or the map
  // turned around and back and both of these in the library's order.
  return unfolded + weights() + (weights() > input() ? 2 * (input() + result()) : weights());
}

ConvStep same_size(const MapBatch& map, std::int64_t in, std::int64_t out, std::int64_t kernel) {
  const std::int64_t tiles = kernel == 3 ? winograd_tiles(map.batch, map.height, map.width) : 0;
  return {in, out, kernel, map.pixels(), map.pixels(), map.batch, tiles};
}

void conv(Tally& tally, const ConvStep& step) {
  const bool is_float = tally.dtype() == at::kFloat;
  tally.convolve(step);
  const std::int64_t unpacked = tally.unpacks_kernels() ? step.weights() : 0;
  tally.pass(step.result() + unpacked + (is_float ? float_scratch(step) : step.scratch()));
  if (is_float || tally.widens()) tally.pack(step.in * step.kernel * step.kernel);
  if (tally.widens()) {
    const std::int64_t widened = step.input() + step.weights() + step.result();
    tally.pass_on_cpu(0, (widened + float_scratch(step)) * kFloat);
    tally.pass_on_cpu(step.result(), widened * kFloat);
  }
  tally.hold(step.result());
}

void resnet(Tally& tally, std::int64_t in, std::int64_t out, const MapBatch& map, bool has_time) {
  const std::int64_t P = map.pixels();
  tally.norm(in * P);
  tally.activate(in * P);
  tally.hold(in * P);  // norm1
  conv(tally, same_size(map, in, out));
  tally.drop(in * P);
  if (has_time) tally.activate(out * P);  // one value is added to all pixels
  tally.norm(out * P);
  tally.activate(out * P);
  tally.hold(out * P);  // norm2, and conv1 that it is made from
  tally.drop(out * P);
  conv(tally, same_size(map, out, out));
  tally.drop(out * P);
  tally.add(out * P);
  if (in == out) return;
  conv(tally, same_size(map, in, out, 1));
  tally.drop(out * P);
}

void attend(Tally& tally, const AttentionStep& step) {
  tally.attend(2 * static_cast<double>(step.B * step.L) * static_cast<double>(step.S * step.width));
  if (tally.dtype() == at::kBFloat16 && !tally.widens()) attend_in_tiles(tally, step);
  attend_fused(tally, step);
}

}  // namespace emulsion::models

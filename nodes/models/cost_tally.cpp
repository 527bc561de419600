#include "models/cost_tally.h"

#include "emulsion/processor.h"
#include "kernels/attention.h"
#include "kernels/linear.h"
#include "kernels/panel_attention.h"
#include "kernels/panel_conv.h"
#include "kernels/panel_product.h"
#include "kernels/winograd.h"
#include "models/packed_layers.h"

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

// What attention allocates besides its result: in tiles, scores and their softmax, and a head's
// queries, keys and values; the keys again, turned.
Bytes tiled_scratch(const AttentionStep& step, Bytes element) {
  const std::int64_t K = step.width / step.heads, rows = std::min(step.L, kernels::kAttentionRows);
  return ((2 * rows + 3 * K) * step.S + (step.L + rows) * K) * element;
}

// In LibTorch's kernel, keys and values packed where the processor multiplies them so, the
// logarithms of the sums, and what each thread has, in blocks as
// ATen/native/cpu/FlashAttentionKernel.cpp cuts them.
Bytes fused_scratch(const AttentionStep& step, c10::ScalarType dtype, std::int64_t threads) {
  const bool packs = dtype != at::kFloat && has_tile_products();
  const std::int64_t packed = packs ? 2 * step.B * step.S * step.width : 0;
  const std::int64_t q_block = step.L >= 768 ? 256 : step.L >= 192 ? 64 : 32;
  const std::int64_t thread =
      q_block * (2 * std::min<std::int64_t>(step.S, 512) + step.width / step.heads + 2);
  return packed * 2 + (step.B * step.heads * step.L + thread * threads) * kFloat;
}

// A convolution on copies in float32.
void widen(Tally& tally, const ConvStep& step) {
  const std::int64_t widened = step.input() + step.weights() + step.result();
  tally.pass_on_cpu(0, (widened + step.scratch()) * kFloat);
  tally.pass_on_cpu(step.result(), widened * kFloat);
}

}  // namespace

Tally::Tally(c10::ScalarType dtype, const BranchLoad& branches)
    : dtype_(dtype),
      by_panels_(kernels::panels_hold(dtype)),
      widens_(dtype == at::kBFloat16 && bfloat16_products() == Bfloat16::None),
      threads_(thread_count()),
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
  if (!by_panels_) pack(in);
  const std::int64_t at_once = std::min(rows, kernels::kWidenedRows);
  if (by_panels_)
    pass_on_cpu(rows * out, kernels::panel_linear_scratch(in, out, threads_) * kFloat);
  else if (widens_)
    pass_on_cpu(rows * out, (at_once * (in + out) + in * out) * kFloat);
  const BranchLoad::Kind& beside = branches_.linears;
  work_.product +=
      2 * static_cast<double>(rows) * static_cast<double>(in * out) * (1 + beside.parameters);
  add_branches(beside, rows * out);
  count_unpacking(rows, in, out);
  if (beside.rank == 0) return;
  const std::int64_t apart = widens_ ? rows * out : 0;  // the branch's own result
  branch_ = std::max(branch_, (beside.rank * (rows + in + out) + apart) * element_);
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
  if (widens_) pass_on_cpu(step.result(), (down.input() + down.weights() + to_low) * kFloat);
}

void Tally::count_unpacking(std::int64_t rows, std::int64_t in, std::int64_t out) {
  if (branches_.linears.packed == 0) return;
  const std::int64_t times = widens_ && !by_panels_ ? rows / kernels::kWidenedRows + 1 : 1;
  unpack(branches_.linears, times * in * out);
  const std::int64_t tile = unpacked_outputs(in, out), result = tile < out ? rows * tile : 0;
  unpacked_ = std::max(unpacked_, (in * tile + result) * element_);
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
  const Bytes besides = branch_ + unpacked_ + packed_ * threads_ + (unpacks ? kUnpacking : 0);
  return {.workspace = peak_ + besides + kSmall, .work = work_, .cpu_workspace = cpu_peak_ - peak_};
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
  const std::int64_t tiles =
      kernel == 3 ? kernels::winograd_tiles(map.batch, map.height, map.width) : 0;
  return {in, out, kernel, map.pixels(), map.pixels(), map.batch, tiles};
}

bool ConvStep::goes_by_tiles(c10::ScalarType dtype) const {
  return kernels::winograd_holds(dtype) && kernels::WinogradShape{in, out, tiles}.pays();
}

std::int64_t ConvStep::own_scratch(c10::ScalarType dtype, std::int64_t threads) const {
  if (goes_by_tiles(dtype)) return kernels::WinogradShape{in, out, tiles}.scratch(threads);
  const std::int64_t wide = dtype == at::kFloat ? 0 : input();
  return wide + kernels::panel_conv_scratch({.in = in, .out = out, .kernel = kernel}, threads);
}

void conv(Tally& tally, const ConvStep& step) {
  tally.convolve(step);
  const std::int64_t unpacked = tally.unpacks_kernels() ? step.weights() : 0;
  const bool by_panels = tally.by_panels() && step.in >= kernels::kFewestPanelChannels;
  if (by_panels || step.goes_by_tiles(tally.dtype())) {
    tally.pass_elsewhere(step.result() + unpacked + step.scratch());
    tally.pass_on_cpu(step.result() + unpacked,
                      step.own_scratch(tally.dtype(), tally.threads()) * kFloat);
  } else {
    tally.pass(step.result() + unpacked + step.scratch());
    if (tally.dtype() == at::kFloat || tally.widens())
      tally.pack(step.in * step.kernel * step.kernel);
    if (tally.widens()) widen(tally, step);
  }
  tally.hold(step.result());
}

void resnet(Tally& tally, std::int64_t in, std::int64_t out, const MapBatch& map,
            std::int64_t time) {
  const std::int64_t P = map.pixels();
  tally.norm(in * P);
  tally.activate(in * P);
  tally.hold(in * P);  // norm1
  conv(tally, same_size(map, in, out));
  tally.drop(in * P);
  if (time > 0) {
    tally.multiply(1, time, out);
    tally.activate(out * P);  // one value is added to all pixels
  }
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
  const std::int64_t result = step.B * step.L * step.width, head_width = step.width / step.heads;
  const bool may_tile = tally.dtype() == at::kBFloat16 && !tally.widens() && !step.is_causal;
  Bytes libraries = fused_scratch(step, tally.dtype(), tally.threads());
  if (may_tile) libraries = std::max(libraries, tiled_scratch(step, 2));
  tally.pass_elsewhere(result, libraries);
  const kernels::PanelAttentionShape shape{step.L, step.S, step.heads, head_width};
  if (!step.is_causal && kernels::panels_attend(tally.dtype(), head_width))
    tally.pass_on_cpu(result, shape.scratch(tally.dtype(), tally.threads()) * kFloat);
  else
    tally.pass_on_cpu(result, libraries);
}

void attention(Tally& tally, const AttentionStep& step, std::int64_t context_width) {
  const std::int64_t C = step.width, P = step.B * step.L, S = step.B * step.S;
  tally.multiply(P, C, C);
  tally.hold(C * P);  // q
  for (int i = 0; i < 2; ++i) {
    tally.multiply(S, context_width, C);
    tally.hold(C * S);  // k, v
  }
  attend(tally, step);
  tally.drop(C * (P + 2 * S));
  tally.hold(C * P);  // attended
  tally.multiply(P, C, C);
  tally.pass(C * P);
  tally.drop(C * P);
}

}  // namespace emulsion::models

#include "models/cost_tally.h"

#include "emulsion/processor.h"
#include "kernels/amx_conv.h"
#include "kernels/amx_product.h"
#include "kernels/attention.h"
#include "kernels/linear.h"
#include "kernels/panel_conv.h"
#include "kernels/panel_linear.h"
#include "kernels/panel_product.h"
#include "kernels/row_linear.h"
#include "kernels/winograd.h"

namespace emulsion::models {
namespace {

constexpr Bytes kFloat = 4;
constexpr std::int64_t kSmallConvolution = 20480;  // elements of the input of one sample
// Of a product's weights, what each thread of oneDNN's kernels packs at a time.
constexpr std::int64_t kPackedRows = 1024, kPackedColumns = 64;
// What these have for results in tile registers, on each thread.
constexpr Bytes kTileBuffers = 48 * kKiB, kMostCopied = 11 * kMiB / 4;
// What is too small to follow: statistics of norms, the time embedding, rounding of allocations.
constexpr Bytes kSmall = 128 * kKiB;
// What unpacking takes where there is no kernel of ours for it.
constexpr Bytes kUnpacking = 2 * kMiB;

// What attention allocates besides its result.  In LibTorch's kernel, the logarithms of the sums,
// and what each thread has, in blocks as ATen/native/cpu/FlashAttentionKernel.cpp cuts them.
Bytes fused_scratch(const AttentionStep& step, std::int64_t threads) {
  const std::int64_t q_block = step.L >= 768 ? 256 : step.L >= 192 ? 64 : 32;
  const std::int64_t thread =
      q_block * (2 * std::min<std::int64_t>(step.S, 512) + step.width / step.heads + 2);
  return (step.B * step.heads * step.L + thread * threads) * kFloat;
}

// For tile registers it packs keys and values besides.
Bytes fused_packing(const AttentionStep& step, c10::ScalarType dtype) {
  const bool packs = dtype != at::kFloat && has_tile_products();
  return packs ? 2 * step.B * step.S * step.width * 2 : 0;
}

// A convolution on copies in float32.
void widen(Tally& tally, const ConvStep& step) {
  const std::int64_t widened = step.input() + step.weights() + step.result();
  const Bytes packing = tally.packing(step.in * step.kernel * step.kernel);
  tally.pass_on_cpu(0, (widened + step.scratch()) * kFloat + packing);
  tally.pass_on_cpu(step.result(), widened * kFloat);
}

}  // namespace

Tally::Tally(c10::ScalarType dtype, const BranchLoad& branches, bool is_given_norms)
    : dtype_(dtype),
      by_panels_(kernels::panels_hold(dtype)),
      widens_(dtype == at::kBFloat16 && bfloat16_products() == Bfloat16::None),
      threads_(thread_count()),
      element_(static_cast<Bytes>(c10::elementSize(dtype))),
      is_given_norms_(is_given_norms),
      branches_(branches) {}

Work repeated(const Work& work, double times) {
  return {.convolution = times * work.convolution,
          .product = times * work.product,
          .attention = times * work.attention,
          .traffic = times * work.traffic};
}

Bytes Tally::packing(std::int64_t in) const {
  const Bytes element = widens_ ? kFloat : element_;
  const Bytes besides = dtype_ == at::kBFloat16 && has_tile_products() ? kTileBuffers : 0;
  return threads_ * (std::min(in, kPackedRows) * kPackedColumns * element + besides);
}

std::int64_t Tally::amx_scratch(std::int64_t rows, std::int64_t in, std::int64_t out,
                                bool is_gated) const {
  return kernels::amx_linear_scratch({.count = rows,
                                      .depth = in,
                                      .taps = 1,
                                      .out = out,
                                      .is_gated = is_gated,
                                      .is_packed = branches_.linears.packed > 0},
                                     threads_);
}

std::int64_t Tally::panel_scratch(std::int64_t rows, std::int64_t in, std::int64_t out) const {
  return kernels::panel_linear_scratch(dtype_, {rows, in, out, branches_.linears.packed > 0},
                                       threads_);
}

Bytes Tally::beside(std::int64_t rows, std::int64_t in, std::int64_t out) const {
  if (branches_.linears.packed == 0 && kernels::rows_are_few(dtype_, rows))
    return kernels::row_linear_scratch(in, out) * kFloat;
  if (kernels::amx_takes(dtype_, rows, in, out)) return amx_scratch(rows, in, out) * kFloat;
  if (by_panels_) return panel_scratch(rows, in, out) * kFloat;
  const std::int64_t at_once = std::min(rows, kernels::kWidenedRows);
  return (widens_ ? (at_once * (in + out) + in * out) * kFloat : 0) + packing(in);
}

Bytes Tally::beside(const ConvStep& step) const {
  const Bytes own =
      step.is_own(dtype_) ? step.own_scratch(dtype_, unpacks_kernels(), threads_) * kFloat : 0;
  return std::max(own, step.scratch() * element_);
}

void Tally::multiply(std::int64_t rows, std::int64_t in, std::int64_t out) {
  pass_elsewhere(rows * out);
  pass_on_cpu(rows * out, beside(rows, in, out));
  const BranchLoad::Kind& branches = branches_.linears;
  work_.product +=
      2 * static_cast<double>(rows) * static_cast<double>(in * out) * (1 + branches.parameters);
  add_branches(branches, rows * out);
  count_unpacking(rows, in, out);
  if (branches.rank == 0) return;
  const std::int64_t apart = widens_ ? rows * out : 0;  // the branch's own result
  const Bytes products =
      std::max(beside(rows, in, branches.rank), beside(rows, branches.rank, out));
  branch_ = std::max(branch_, (branches.rank * (rows + in + out) + apart) * element_ + products);
}

std::optional<std::int64_t> Tally::gated_scratch(std::int64_t rows, std::int64_t in,
                                                 std::int64_t out) const {
  if (branches_.linears.rank > 0) return std::nullopt;
  if (kernels::amx_takes(dtype_, rows, in, out)) return amx_scratch(rows, in, out, true);
  if (!kernels::panels_gate(dtype_, in, out)) return std::nullopt;
  return panel_scratch(rows, in, 2 * out);
}

void Tally::multiply_gated(std::int64_t rows, std::int64_t in, std::int64_t out) {
  if (const auto scratch = gated_scratch(rows, in, out)) {
    pass_on_cpu(rows * out, *scratch * kFloat);
    pass_elsewhere(3 * rows * out);
    work_.product += 4 * static_cast<double>(rows) * static_cast<double>(in * out);
    count_unpacking(rows, in, 2 * out);
  } else {
    multiply(rows, in, 2 * out);
    pass(3 * rows * out);
  }
  touch(3 * rows * out);
  hold(rows * out);
}

void Tally::convolve(const ConvStep& step) {
  const BranchLoad::Kind& branches = branches_.convolutions;
  work_.convolution += 2 * static_cast<double>(step.in * step.kernel * step.kernel) *
                       static_cast<double>(step.result()) * (1 + branches.parameters);
  add_branches(branches, step.result());
  if (!step.goes_by_amx(dtype_)) unpack(branches, step.weights());
  if (branches.rank == 0) return;
  const ConvStep down{step.in, branches.rank, step.kernel, step.map, step.to};
  const MapBatch row{step.map.batch, 1, step.to / step.map.batch};
  const ConvStep up{branches.rank, step.out, 1, row, step.to};
  const std::int64_t low = down.result(), from_low = low + up.result();
  branch_ = std::max({branch_, low * element_ + beside(down), from_low * element_ + beside(up)});
  if (widens_)
    pass_on_cpu(step.result(), (down.input() + down.weights() + low + down.scratch()) * kFloat);
}

void Tally::count_unpacking(std::int64_t rows, std::int64_t in, std::int64_t out) {
  if (branches_.linears.packed == 0) return;
  const std::int64_t tile = kernels::unpacked_outputs(in, out),
                     result = tile < out ? rows * tile : 0;
  const Bytes unpacked = (in * tile + result) * element_;
  unpacked_ = std::max(unpacked_, unpacked);
  if (by_panels_ || kernels::amx_takes(dtype_, rows, in, out)) return;
  cpu_unpacked_ = std::max(cpu_unpacked_, unpacked);
  const std::int64_t times = widens_ ? rows / kernels::kWidenedRows + 1 : 1;
  unpack(branches_.linears, times * in * out);
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
  const Bytes besides = branch_ + (unpacks ? kUnpacking : 0) + kSmall;
  return {.workspace = peak_ + unpacked_ + besides,
          .work = work_,
          .cpu_workspace = cpu_peak_ + cpu_unpacked_ - peak_ - unpacked_};
}

std::int64_t ConvStep::scratch() const {
  // LibTorch unfolds the input of a convolution that is too small for its library.
  const bool is_small = map.batch == 1 && input() <= kSmallConvolution;
  const std::int64_t unfolded = is_small ? in * kernel * kernel * to : 0;
  // The weights in the library's order; besides, the weights with channels last, or the map
  // turned around and back and both of these in the library's order.
  return unfolded + weights() + (weights() > input() ? 2 * (input() + result()) : weights());
}

ConvStep same_size(const MapBatch& map, std::int64_t in, std::int64_t out, std::int64_t kernel) {
  return {in, out, kernel, map, map.pixels()};
}

kernels::WinogradShape ConvStep::tiled() const {
  const bool is_doubled = change == kernels::MapChange::Doubled;
  const bool is_same = change == kernels::MapChange::None && kernel == 3 && keeps_size();
  if (!is_same && !is_doubled) return {in, out, 0};
  return {in, out, kernels::winograd_tiles(map.batch, map.height, map.width, is_doubled),
          is_doubled};
}

bool ConvStep::goes_by_tiles(c10::ScalarType dtype) const {
  return kernels::winograd_holds(dtype) && tiled().pays();
}

bool ConvStep::goes_by_amx(c10::ScalarType dtype) const {
  if (kernel == 3 && (keeps_size() || change != kernels::MapChange::None))
    return kernels::amx_takes(dtype, amx_map(), out);
  return is_linear() && kernels::amx_takes(dtype, to, in, out);
}

Bytes ConvStep::copied() const {
  const std::int64_t rows = keeps_size() ? 32 : 64, channels = (in + 31) / 32 * 32;
  return kTileBuffers + std::min(kMostCopied, rows * (map.width + 18) * channels * 2);
}

bool ConvStep::is_own(c10::ScalarType dtype) const {
  const bool by_panels = kernels::panels_hold(dtype) && in >= kernels::kFewestPanelChannels;
  return by_panels || goes_by_tiles(dtype) || goes_by_amx(dtype);
}

std::int64_t ConvStep::own_scratch(c10::ScalarType dtype, bool is_packed,
                                   std::int64_t threads) const {
  if (goes_by_amx(dtype) && kernel == 1)
    return kernels::amx_linear_scratch(
        {.count = to, .depth = in, .taps = 1, .out = out, .is_packed = is_packed}, threads);
  if (goes_by_amx(dtype)) return kernels::amx_conv_scratch(amx_map(), out, is_packed, threads);
  if (goes_by_tiles(dtype)) return tiled().scratch(threads);
  if (is_linear()) return kernels::panel_linear_scratch(dtype, {to, in, out}, threads);
  return kernels::panel_conv_scratch({.in = in, .out = out, .kernel = kernel}, dtype, map.pixels(),
                                     threads);
}

namespace {

// What a convolution takes besides what is held, with its result.
void pass_elsewhere(Tally& tally, const ConvStep& step) {
  const std::int64_t unpacked = tally.unpacks_kernels() ? step.weights() : 0;
  tally.pass_elsewhere(step.result() + unpacked + step.scratch());
}

void pass_on_cpu(Tally& tally, const ConvStep& step) {
  const bool is_packed = tally.unpacks_kernels();
  const bool unpacks = is_packed && !step.goes_by_amx(tally.dtype());
  const std::int64_t unpacked = unpacks ? step.weights() : 0;
  if (step.is_own(tally.dtype())) {
    tally.pass_on_cpu(step.result() + unpacked,
                      step.own_scratch(tally.dtype(), is_packed, tally.threads()) * kFloat);
    return;
  }
  const bool packs = tally.dtype() == at::kFloat || tally.widens();
  const Bytes packed = packs ? tally.packing(step.in * step.kernel * step.kernel) : 0;
  const Bytes copied = !packs && has_tile_products() ? tally.threads() * step.copied() : 0;
  tally.pass_on_cpu(step.result() + unpacked + step.scratch(), packed + copied);
  if (tally.widens()) widen(tally, step);
}

// A map of `made` elements, which takes the place of `given_up` others before a convolution.  On a
// CPU `own` may make it on the way: then those stay until the end.
struct MadeMap {
  std::int64_t made = 0, given_up = 0;
  const ConvStep* own = nullptr;
};

void conv(Tally& tally, const ConvStep& step, const MadeMap& map) {
  tally.convolve(step);
  tally.hold_elsewhere(map.made);
  tally.hold_elsewhere(-map.given_up);
  if (map.own == nullptr) {
    tally.hold_on_cpu(map.made);
    tally.hold_on_cpu(-map.given_up);
  }
  pass_elsewhere(tally, step);
  pass_on_cpu(tally, map.own != nullptr ? *map.own : step);
  tally.hold(step.result());
  tally.hold_elsewhere(-map.made);
  tally.hold_on_cpu(map.own != nullptr ? -map.given_up : -map.made);
}

// Norm, activation and convolution.  A map that is not `kept` gives way to its norm.
void normed_conv(Tally& tally, const ConvStep& step, bool is_kept) {
  const bool fuses = tally.fuses_norms() && step.goes_by_amx(tally.dtype());
  tally.norm(step.input());
  tally.activate(step.input());
  conv(tally, step, {step.input(), is_kept ? 0 : step.input(), fuses ? &step : nullptr});
}

}  // namespace

void conv(Tally& tally, const ConvStep& step) { conv(tally, step, MadeMap{}); }

void upsampled(Tally& tally, std::int64_t C, const MapBatch& before, const MapBatch& after) {
  const ConvStep step = same_size(after, C, C),
                 own{C, C, 3, before, after.pixels(), kernels::MapChange::Doubled};
  const bool doubles = after.height == 2 * before.height && after.width == 2 * before.width;
  const bool is_own = own.goes_by_amx(tally.dtype()) || own.goes_by_tiles(tally.dtype());
  const bool fuses = doubles && tally.fuses_sizes() && is_own;
  tally.touch(step.input() + own.input());
  conv(tally, step, {step.input(), own.input(), fuses ? &own : nullptr});
}

void downsampled(Tally& tally, std::int64_t C, const MapBatch& before, const MapBatch& after,
                 std::int64_t padding) {
  using enum kernels::MapChange;
  const MapBatch padded{before.batch, before.height + 1, before.width + 1};
  const ConvStep own{C, C, 3, before, after.pixels(), padding == 1 ? Halved : HalvedAtEnd},
      step{C, C, 3, padding == 1 ? before : padded, after.pixels()};
  const bool fuses = tally.fuses_sizes() && own.goes_by_amx(tally.dtype());
  const std::int64_t copied = padding == 1 ? 0 : step.input();
  tally.copy(copied);
  conv(tally, step, {copied, 0, fuses ? &own : nullptr});
}

void resnet(Tally& tally, std::int64_t in, std::int64_t out, const MapBatch& map,
            std::int64_t time) {
  const std::int64_t P = map.pixels();
  if (time > 0) {
    tally.multiply(1, time, out);
    tally.activate(out * P);  // one value is added to all pixels
  }
  normed_conv(tally, same_size(map, in, out), true);
  normed_conv(tally, same_size(map, out, out), false);
  tally.add(out * P);
  if (in == out) return;
  conv(tally, same_size(map, in, out, 1));
  tally.drop(out * P);
}

void attend(Tally& tally, const AttentionStep& step) {
  tally.attend(2 * static_cast<double>(step.B * step.L) * static_cast<double>(step.S * step.width));
  const std::int64_t result = step.B * step.L * step.width, head_width = step.width / step.heads;
  const Bytes fused = fused_scratch(step, tally.threads());
  tally.pass_elsewhere(result, fused);
  const auto own = kernels::attention_scratch(
      {step.B, step.L, step.S, step.heads, head_width}, tally.dtype(),
      step.is_causal ? kernels::Mask::Causal : kernels::Mask::None, tally.threads());
  tally.pass_on_cpu(result, own ? *own * kFloat : fused + fused_packing(step, tally.dtype()));
}

void attention(Tally& tally, const AttentionStep& step, std::int64_t context_width) {
  const std::int64_t C = step.width, P = step.B * step.L, S = step.B * step.S;
  tally.multiply(P, C, C);
  tally.hold(C * P);  // q
  for (int i = 0; i < 2; ++i) {
    if (step.is_kept)
      tally.pass_product(S, context_width, C);
    else
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

#include "models/token_merging.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/argsort.h>
#include <ATen/ops/randint.h>

#include "models/ops.h"

namespace emulsion::models {
namespace {

constexpr std::int64_t kStride = 2;  // of the squares that have one target each

struct Positions {
  at::Tensor targets, sources;
};

Positions drawn(const TokenMerging& merging, const at::Device& device) {
  const std::int64_t H = merging.height, W = merging.width, rows = H / kStride,
                     columns = W / kStride;
  const at::Tensor places = at::randint(kStride * kStride, {rows, columns},
                                        at::make_generator<at::CPUGeneratorImpl>(merging.seed),
                                        at::TensorOptions(at::kLong));
  std::vector<bool> is_target(static_cast<std::size_t>(H * W), false);
  const std::int64_t* place = places.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j, ++place) {
      const std::int64_t y = i * kStride + *place / kStride, x = j * kStride + *place % kStride;
      is_target[static_cast<std::size_t>(y * W + x)] = true;
    }
  std::vector<std::int64_t> targets, sources;
  for (std::int64_t i = 0; i < H * W; ++i)
    (is_target[static_cast<std::size_t>(i)] ? targets : sources).push_back(i);
  return {at::tensor(targets).to(device), at::tensor(sources).to(device)};
}

// The largest cosine of each source's with a target, and which: [B, sources]
std::pair<at::Tensor, at::Tensor> nearest(const at::Tensor& tokens, const Positions& positions) {
  at::Tensor unit = tokens.to(at::kFloat, false, true);  // a copy
  unit.div_(unit.norm(2, {-1}, true).clamp_min_(1e-12));
  const at::Tensor targets = unit.index_select(1, positions.targets).transpose(1, 2);
  const at::Tensor sources = unit.index_select(1, positions.sources);
  const std::int64_t S = sources.size(1);
  at::Tensor alike = at::empty({tokens.size(0), S}, unit.options());
  at::Tensor which = at::empty({tokens.size(0), S}, unit.options().dtype(at::kLong));
  for (std::int64_t begin = 0; begin < S; begin += kMergingRows) {
    const std::int64_t rows = std::min(kMergingRows, S - begin);
    const auto [most, index] = sources.narrow(1, begin, rows).bmm(targets).max(-1);
    alike.narrow(1, begin, rows).copy_(most);
    which.narrow(1, begin, rows).copy_(index);
  }
  return {alike, which};
}

// Of each sample the rows at its own positions: [B, L, D], [B, n] -> [B, n, D]
at::Tensor rows_at(const at::Tensor& tokens, const at::Tensor& positions) {
  return tokens.gather(1, positions.unsqueeze(-1).expand({-1, -1, tokens.size(-1)}));
}

}  // namespace

MergedCount::MergedCount(std::int64_t height, std::int64_t width, double ratio)
    : targets((height / kStride) * (width / kStride)) {
  const std::int64_t all = height * width;
  sources = all - targets;
  left = all - std::min(sources, static_cast<std::int64_t>(ratio * static_cast<double>(all)));
}

MergedTokens::MergedTokens(const at::Tensor& tokens, const TokenMerging& merging) {
  const MergedCount count(merging.height, merging.width, merging.ratio);
  const Positions positions = drawn(merging, tokens.device());
  const auto [alike, which] = nearest(tokens, positions);
  const at::Tensor order = alike.argsort(true, -1, true);  // stable, descending
  const std::int64_t B = tokens.size(0), kept = count.left - count.targets,
                     leaving = count.sources - kept;
  const at::Tensor first = order.narrow(1, 0, leaving).contiguous(),
                   rest = order.narrow(1, leaving, kept).contiguous();
  targets_ = positions.targets;
  leaving_ = positions.sources.index_select(0, first.flatten()).view(first.sizes());
  kept_ = positions.sources.index_select(0, rest.flatten()).view(rest.sizes());
  into_ = which.gather(1, first);
  at::Tensor of_sources = at::empty_like(order);
  of_sources.scatter_(1, rest, at::arange(kept, order.options()).expand({B, -1}));
  of_sources.scatter_(1, first, into_.add(kept));
  rows_ = at::empty({B, tokens.size(1)}, order.options());
  rows_.index_copy_(1, positions.sources, of_sources);
  rows_.index_copy_(1, targets_,
                    at::arange(kept, count.left, order.options()).expand({B, -1}).contiguous());
}

at::Tensor MergedTokens::merged(const at::Tensor& tokens) const {
  const at::Tensor index = into_.unsqueeze(-1).expand({-1, -1, tokens.size(-1)});
  const at::Tensor means =
      tokens.index_select(1, targets_).scatter_reduce_(1, index, rows_at(tokens, leaving_), "mean");
  return at::cat({rows_at(tokens, kept_), means}, 1);
}

at::Tensor MergedTokens::restored(const at::Tensor& tokens) const { return rows_at(tokens, rows_); }

}  // namespace emulsion::models

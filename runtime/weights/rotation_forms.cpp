#include <ATen/ops/bmm.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_solve.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/triu_indices.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "weights/weight_forms.h"

namespace emulsion {
namespace {

// I + strength * (R - I); `rotation` is the caller's own.
at::Tensor gone_along(const at::Tensor& rotation, double strength) {
  const at::Tensor identity = at::eye(rotation.size(-1), rotation.options());
  return rotation.sub_(identity).mul_(strength).add_(identity);
}

// R = (I + Q)(I - Q)^-1 of every block [..., b, b], gone along by a part: I + strength * (R - I).
at::Tensor rotations(const at::Tensor& blocks, double constraint, double strength) {
  constexpr double kTiny = 1e-8;
  at::Tensor skew = blocks.sub(blocks.transpose(-2, -1));
  if (constraint > 0)
    skew.mul_(skew.norm().add_(kTiny).reciprocal_().mul_(constraint).clamp_max_(1));
  const at::Tensor identity = at::eye(blocks.size(-1), blocks.options());
  // (I + Q) and (I - Q)^-1 can change places.
  return gone_along(at::linalg_solve(identity.sub(skew), identity.add(skew)), strength);
}

// Q of every block, [m, n, b, b].
at::Tensor skews(const ColumnRotation& form, const at::TensorOptions& options) {
  const at::Tensor given = form.blocks.to(options);
  if (given.dim() == 4) return given.sub(given.transpose(2, 3)).mul_(0.5);
  const std::int64_t count = given.size(0), size = form.size;
  const at::Tensor corners = at::triu_indices(size, size, 1).to(options.device());  // [2, b(b-1)/2]
  const at::Tensor upper = at::zeros({count, size * size}, options)
                               .index_copy_(1, corners[0].mul(size).add(corners[1]), given)
                               .view({1, count, size, size});
  at::Tensor skew = upper.sub(upper.transpose(2, 3));
  if (form.limit > 0) {
    const at::Tensor norms = skew.norm(2, {2, 3}, /*keepdim=*/true);
    skew.mul_(norms.reciprocal_().mul_(form.limit).clamp_max_(1));
  }
  return skew;
}

// R of every Q; the series is PEFT's, whose Q has the other sign.
at::Tensor column_rotations(const at::Tensor& skew, std::int64_t terms) {
  const at::Tensor identity = at::eye(skew.size(-1), skew.options());
  if (terms == 0) return at::linalg_solve(identity.add(skew), identity.sub(skew));
  const std::int64_t last = terms > 2 ? std::max<std::int64_t>(terms, 4) - 1 : terms - 1;
  at::Tensor power = skew, sum = identity.expand_as(skew).contiguous();
  for (std::int64_t exponent = 1; exponent <= last; ++exponent) {
    if (exponent > 1) power = at::matmul(power, skew);
    sum.add_(power, exponent == last && terms > 2 ? 1 : 2);
  }
  return sum;
}

// `weight` is the caller's own.
at::Tensor rescaled(const at::Tensor& weight, const at::Tensor& rescale, double strength) {
  if (!rescale.defined()) return weight;
  return weight.mul_(rescale.to(weight.options()).sub(1).mul_(strength).add_(1));
}

}  // namespace

at::Tensor changed(const Rotation& form, const at::Tensor& base, double strength) {
  const at::Tensor blocks = form.blocks.to(base.options());  // [n, b, b]
  const at::Tensor rotation = rotations(blocks, form.constraint, strength);
  const at::Tensor rows = base.reshape({blocks.size(0), blocks.size(1), -1});  // [n, b, rest]
  const at::Tensor rotated = at::bmm(rotation.transpose(1, 2), rows).view_as(base);
  return rescaled(rotated, form.rescale, strength);
}

at::Tensor changed(const ButterflyRotation& form, const at::Tensor& base, double strength) {
  const at::Tensor blocks = form.blocks.to(base.options());  // [m, n, b, b]
  const at::Tensor rotation = rotations(blocks, form.constraint, strength);
  const std::int64_t size = blocks.size(2), rest = base.numel() / base.size(0);
  at::Tensor rows = base.reshape({-1, rest});  // [out, rest]
  std::int64_t apart = size / 2;               // how far rows lie that come side by side
  for (std::int64_t stage = 0; stage < blocks.size(0); ++stage, apart *= 2) {
    // [..., 2, apart, rest] -> [..., apart, 2, rest] -> [n, b, rest], and back
    rows = rows.view({-1, 2, apart, rest}).transpose(1, 2).reshape({-1, size, rest});
    rows = at::bmm(rotation[stage], rows);
    rows = rows.view({-1, apart, 2, rest}).transpose(1, 2).reshape({-1, rest});
  }
  return rescaled(rows.view_as(base), form.rescale, strength);
}

at::Tensor changed(const ColumnRotation& form, const at::Tensor& base, double strength) {
  const at::Tensor skew = skews(form, base.options());  // [m, n, b, b]
  const at::Tensor rotation = gone_along(column_rotations(skew, form.terms), strength);
  const std::int64_t stages = skew.size(0), size = skew.size(3), out = base.size(0);
  const std::int64_t halves = stages > 1 ? 2 : 1, half = size / halves;
  at::Tensor rows = base.view({out, -1});
  std::int64_t apart = 1;  // in halves of blocks: how far those lie that come side by side
  for (std::int64_t stage = 0; stage < stages; ++stage, apart *= 2) {
    // [out, ..., halves, apart, half] -> [..., apart, halves, half, out] -> [n, b, out], and back
    at::Tensor columns = rows.view({out, -1, halves, apart, half}).permute({1, 3, 2, 4, 0});
    columns = columns.reshape({-1, size, out});
    columns = at::bmm(rotation[stage].expand({columns.size(0), size, size}), columns);
    columns = columns.view({-1, apart, halves, half, out});
    rows = columns.permute({4, 0, 2, 1, 3}).reshape({out, -1});
  }
  return rescaled(rows.view_as(base), form.rescale, strength);
}

at::Tensor changed(const ChannelFactors& form, const at::Tensor& base, double strength) {
  return form.factors.to(base.options()).mul(strength).add_(1).mul(base);
}

}  // namespace emulsion

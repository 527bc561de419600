#include <ATen/ops/bmm.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_solve.h>

#include "weights/weight_forms.h"

namespace emulsion {
namespace {

// R = (I + Q)(I - Q)^-1 of every block [..., b, b], gone along by a part: I + strength * (R - I).
at::Tensor rotations(const at::Tensor& blocks, double constraint, double strength) {
  constexpr double kTiny = 1e-8;
  at::Tensor skew = blocks.sub(blocks.transpose(-2, -1));
  if (constraint > 0)
    skew.mul_(skew.norm().add_(kTiny).reciprocal_().mul_(constraint).clamp_max_(1));
  const at::Tensor identity = at::eye(blocks.size(-1), blocks.options());
  // (I + Q) and (I - Q)^-1 can change places.
  const at::Tensor rotation = at::linalg_solve(identity.sub(skew), identity.add(skew));
  return rotation.sub_(identity).mul_(strength).add_(identity);
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

at::Tensor changed(const ChannelFactors& form, const at::Tensor& base, double strength) {
  return form.factors.to(base.options()).mul(strength).add_(1).mul(base);
}

}  // namespace emulsion

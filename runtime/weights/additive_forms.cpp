#include <ATen/ops/addmm.h>
#include <ATen/ops/kron.h>
#include <ATen/ops/mm.h>

#include "weights/weight_forms.h"

namespace emulsion {
namespace {

// In the base's dtype and place.
at::Tensor as(const at::Tensor& piece, const at::Tensor& base) { return piece.to(base.options()); }

// sum over i, j of core [i, j, k, k] a [out, i] b [j, in] -> [out, in * k * k]
at::Tensor expanded(const at::Tensor& core, const at::Tensor& a, const at::Tensor& b) {
  const std::int64_t out = a.size(0), in = b.size(1), middle = core.size(1);
  const at::Tensor rows = at::mm(a, core.flatten(1));  // [out, j * k * k]
  // [out * k * k, j]
  const at::Tensor kernels = rows.view({out, middle, -1}).transpose(1, 2).reshape({-1, middle});
  return at::mm(kernels, b).view({out, -1, in}).transpose(1, 2).flatten(1);
}

at::Tensor product(const HadamardProduct::Factor& factor, const at::Tensor& base) {
  const at::Tensor a = as(factor.a, base), b = as(factor.b, base);
  return factor.core.defined() ? expanded(as(factor.core, base), a.t(), b) : at::mm(a, b);
}

// [rows, columns * k * k]
at::Tensor product(const KroneckerProduct::Factor& factor, const at::Tensor& base) {
  if (factor.whole.defined()) return as(factor.whole, base).flatten(1);
  const at::Tensor a = as(factor.a, base), b = as(factor.b, base);
  return factor.core.defined() ? expanded(as(factor.core, base), a.t(), b) : at::mm(a, b);
}

// `change` is the caller's own.
at::Tensor added(const at::Tensor& change, const at::Tensor& base, double factor) {
  return change.view_as(base).mul_(factor).add_(base);
}

}  // namespace

at::Tensor changed(const LowRank& form, const at::Tensor& base, double strength) {
  const double factor = strength * form.scale;
  const at::Tensor up = as(form.up, base).flatten(1);
  const at::Tensor down = as(form.down, base).flatten(1);
  if (form.core.defined()) return added(expanded(as(form.core, base), up, down), base, factor);
  return at::addmm(base.flatten(1), up, down, 1, factor).view_as(base);
}

at::Tensor changed(const HadamardProduct& form, const at::Tensor& base, double strength) {
  const at::Tensor change = product(form.first, base).mul_(product(form.second, base));
  return added(change, base, strength * form.scale);
}

// The second factor's columns hold the kernel, which so comes last in the product's, too.
at::Tensor changed(const KroneckerProduct& form, const at::Tensor& base, double strength) {
  const at::Tensor change = at::kron(product(form.first, base), product(form.second, base));
  return added(change, base, strength * form.scale);
}

at::Tensor changed(const GeneralizedLowRank& form, const at::Tensor& base, double strength) {
  const double factor = strength * form.scale;
  const std::int64_t out = base.size(0), in = base.size(1);
  // [out * k * k, in]
  at::Tensor mixed = base.view({out, in, -1}).transpose(1, 2).reshape({-1, in});
  mixed = at::mm(at::mm(mixed, as(form.a1, base)), as(form.a2, base));
  const at::Tensor b1 = as(form.b1, base), b2 = as(form.b2, base);
  at::Tensor change = form.core.defined() ? expanded(as(form.core, base), b1, b2) : at::mm(b1, b2);
  change.view({out, in, -1}).add_(mixed.view({out, -1, in}).transpose(1, 2));
  return added(change, base, factor);
}

at::Tensor changed(const Difference& form, const at::Tensor& base, double strength) {
  return base.add(as(form.difference, base), strength);
}

}  // namespace emulsion

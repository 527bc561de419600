#include "weights/weight_change.h"

#include <ATen/ops/linalg_vector_norm.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace emulsion {
namespace {

// At strength 1, brought to `norms` row by row or column by column; `changed` is the caller's own.
at::Tensor with_norms(const at::Tensor& changed, const at::Tensor& norms, const at::Tensor& base,
                      double strength) {
  constexpr double kTiny = std::numeric_limits<float>::epsilon();  // LyCORIS': for rows of zeros
  const std::int64_t kept = norms.size(0) > 1 ? 0 : 1;
  std::vector<std::int64_t> axes;
  for (std::int64_t axis = 0; axis < base.dim(); ++axis)
    if (axis != kept) axes.push_back(axis);
  const at::Tensor lengths = at::linalg_vector_norm(changed, 2, axes, /*keepdim=*/true);
  changed.mul_(norms.to(base.options()).div(lengths.add_(kTiny)));
  return changed.lerp_(base, 1 - strength);
}

constexpr Bytes kFloatBytes = sizeof(float);

Bytes as_float(const at::Tensor& piece) {
  return piece.defined() ? piece.numel() * kFloatBytes : 0;
}

// Each sums up what the form's changed() has in memory at its fullest moment.
class Workspace {
 public:
  explicit Workspace(const TensorSpec& base)
      : base_(base.count() * kFloatBytes), rows_(base.shape.empty() ? 1 : base.shape.front()) {}

  Bytes operator()(const LowRank& form) const {
    const Bytes pieces = as_float(form.down) + as_float(form.up) + as_float(form.core);
    return pieces + (form.core.defined() ? expanded(form.core, rows_, base_) : base_);
  }

  // The first product is there beside the second.
  Bytes operator()(const HadamardProduct& form) const {
    return std::max(of(form.first, base_), base_ + of(form.second, base_));
  }

  Bytes operator()(const KroneckerProduct& form) const {
    return base_ + of(form.first) + of(form.second);
  }

  Bytes operator()(const Difference& form) const { return base_ + as_float(form.difference); }

  // The blocks, Q, both sides of the equation, its matrix' factors, R, and its transposed copy.
  Bytes operator()(const Rotation& form) const {
    return base_ + 8 * as_float(form.blocks) + 3 * as_float(form.rescale);
  }

  // The rows before and after each step.
  Bytes operator()(const ButterflyRotation& form) const {
    return 2 * base_ + 8 * as_float(form.blocks) + 3 * as_float(form.rescale);
  }

  // The columns before and after, and per block those of a rotation, or of all that share one.
  Bytes operator()(const ColumnRotation& form) const {
    const Bytes given = as_float(form.blocks);
    const Bytes whole =
        form.blocks.dim() == 4 ? given : form.blocks.size(0) * form.size * form.size * kFloatBytes;
    const Bytes each = base_ / rows_ * form.size;
    return 2 * base_ + given + 7 * whole + each + 3 * as_float(form.rescale);
  }

  // The product and the mixed weight, and on the way that in another order.
  Bytes operator()(const GeneralizedLowRank& form) const {
    const Bytes pieces = as_float(form.a1) + as_float(form.a2) + as_float(form.b1) +
                         as_float(form.b2) + as_float(form.core);
    return pieces + base_ + (form.core.defined() ? expanded(form.core, rows_, base_) : base_);
  }

  Bytes operator()(const ChannelFactors& form) const { return base_ + 2 * as_float(form.factors); }

 private:
  // Products with a core: of `rows` and the core, the same in another order, and the result twice.
  static Bytes expanded(const at::Tensor& core, std::int64_t rows, Bytes result) {
    return 2 * result + 2 * rows * core.numel() / core.size(0) * kFloatBytes;
  }

  Bytes of(const HadamardProduct::Factor& factor, Bytes result) const {
    const Bytes pieces = as_float(factor.a) + as_float(factor.b) + as_float(factor.core);
    return pieces + (factor.core.defined() ? expanded(factor.core, rows_, result) : result);
  }

  static Bytes of(const KroneckerProduct::Factor& factor) {
    if (factor.whole.defined()) return as_float(factor.whole);
    const Bytes pieces = as_float(factor.a) + as_float(factor.b) + as_float(factor.core);
    if (!factor.core.defined()) return pieces + factor.a.size(0) * factor.b.size(1) * kFloatBytes;
    const std::int64_t rows = factor.a.size(1);
    const std::int64_t kernel = factor.core.numel() / factor.core.size(0) / factor.core.size(1);
    return pieces + expanded(factor.core, rows, rows * factor.b.size(1) * kernel * kFloatBytes);
  }

  Bytes base_;
  std::int64_t rows_;
};

}  // namespace

at::Tensor WeightChange::applied(const at::Tensor& base, double strength) const {
  const auto at_strength = [&](double part) {
    return std::visit([&](const auto& form) { return changed(form, base, part); }, form_);
  };
  return norms_.defined() ? with_norms(at_strength(1), norms_, base, strength)
                          : at_strength(strength);
}

std::optional<WeightChange::Branch> WeightChange::branch() const {
  const auto* const form = std::get_if<LowRank>(&form_);
  if (form == nullptr || form->core.defined() || norms_.defined()) return std::nullopt;
  return Branch{form->down, form->up, form->scale};
}

Bytes WeightChange::workspace(const TensorSpec& base) const {
  constexpr Bytes kRounding = 16 * kKiB;  // what an accelerator's allocator adds to small blocks
  return std::visit(Workspace(base), form_) + 4 * as_float(norms_) + kRounding;
}

}  // namespace emulsion

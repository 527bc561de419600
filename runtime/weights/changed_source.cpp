#include <algorithm>
#include <utility>

#include "memory/memory_meter.h"
#include "weights/changed_tensor.h"
#include "weights/safetensors.h"
#include "weights/weight_copy.h"
#include "weights/weight_source.h"

namespace emulsion {
namespace {

// Tensors of a component some of which are changed on the way, one after the other.
class ChangedSource final : public WeightSource {
 public:
  ChangedSource(OpenComponent component, const WeightPlace& place, c10::ScalarType dtype)
      : component_(std::move(component)),
        place_(place),
        dtype_(dtype),
        files_(files_source(component_, place, dtype)) {}

  Bundle read(const std::vector<std::string>& names, Stay stay, Pace pace) const override {
    std::vector<std::string> changed = names;
    const auto rest = std::ranges::partition(
        changed, [&](const std::string& name) { return is_changed(component_, name); });
    Bundle tensors = files_->read({rest.begin(), rest.end()}, stay, pace);
    changed.erase(rest.begin(), rest.end());
    for (const std::string& name : changed) tensors.emplace(name, read_changed(name, pace));
    if (!changed.empty()) expect_unchanged(component_);
    return tensors;
  }

 private:
  at::Tensor read_changed(const std::string& name, Pace pace) const {
    const at::Tensor made = made_on_host(name, pace);
    const MeterScope scope(place_.meter, MeterScope::Reach::ThisThread);
    return new_tensor({made.sizes().vec(), dtype_}, place_.device).copy_(made);
  }

  // Host memory beside an accelerator or a logical device is not theirs.
  at::Tensor made_on_host(const std::string& name, Pace pace) const {
    const MeterScope scope(place_.is_host ? place_.meter : nullptr, MeterScope::Reach::ThisThread);
    return changed_tensor(component_, name, pace);
  }

  static void expect_unchanged(const OpenComponent& component) {
    for (const auto& file : component.files)
      emulsion::expect_unchanged(file->path(), file->identity());
    for (const auto& change : component.changes)
      if (const auto* blend = std::get_if<Blend>(&change)) expect_unchanged(*blend->other);
  }

  OpenComponent component_;
  WeightPlace place_;
  c10::ScalarType dtype_;
  std::unique_ptr<const WeightSource> files_;  // of what stays as it is
};

}  // namespace

std::unique_ptr<const WeightSource> changed_source(OpenComponent component,
                                                   const WeightPlace& place,
                                                   c10::ScalarType dtype) {
  return std::make_unique<ChangedSource>(std::move(component), place, dtype);
}

}  // namespace emulsion

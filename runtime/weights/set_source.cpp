#include <ATen/ops/empty.h>

#include <cstddef>
#include <cstring>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "memory/memory_meter.h"
#include "weights/weight_copy.h"
#include "weights/weight_source.h"

namespace emulsion {
namespace {

// Copies tensors from the device that they are on.
class SetSource final : public WeightSource {
 public:
  SetSource(std::shared_ptr<const WeightSet> set, const WeightPlace& place)
      : set_(std::move(set)), place_(place) {}

  Bundle read(const std::vector<std::string>& names, Stay, Pace pace) const override {
    const MeterScope scope(place_.meter, MeterScope::Reach::ThisThread);
    Bundle tensors;
    for (const std::string& name : names) tensors.emplace(name, copy(source(name), pace));
    return tensors;
  }

 private:
  const at::Tensor& source(const std::string& name) const {
    const at::Tensor& data = set_->weights.find(name)->second.data;
    if (!data.defined())
      throw WeightError(
          str(set_->place, ": tensor '", name, "': expected in memory, is in the file only"));
    return data;
  }

  at::Tensor copy(const at::Tensor& from, Pace pace) const {
    if (!from.device().is_cpu()) {
      const at::Tensor result = at::empty(from.sizes(), from.options().device(place_.device));
      result.copy_(from);
      return result;
    }
    const TensorSpec spec{from.sizes().vec(), from.scalar_type()};
    return filled_tensor(
        spec, place_.device, pace, [&](std::int64_t start, const at::Tensor& into) {
          const auto* const data = static_cast<const std::byte*>(from.const_data_ptr());
          std::memcpy(into.mutable_data_ptr(),
                      data + start * static_cast<std::int64_t>(from.element_size()), into.nbytes());
        });
  }

  std::shared_ptr<const WeightSet> set_;
  WeightPlace place_;
};

}  // namespace

std::unique_ptr<const WeightSource> set_source(std::shared_ptr<const WeightSet> set,
                                               const WeightPlace& place) {
  return std::make_unique<SetSource>(std::move(set), place);
}

}  // namespace emulsion

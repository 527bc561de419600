#include <cstddef>
#include <cstring>
#include <functional>
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
    std::vector<WeightCopy> copies;
    for (const std::string& name : names) {
      const at::Tensor& from = source(name);
      const TensorSpec spec{from.sizes().vec(), from.scalar_type()};
      const at::Tensor to = tensors.emplace(name, new_tensor(spec, place_.device)).first->second;
      if (from.device().is_cpu())
        copies.push_back({to, part_of(from)});
      else
        to.copy_(from);
    }
    fill_all(copies, pace);
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

  static std::function<void(std::int64_t, const at::Tensor&)> part_of(const at::Tensor& from) {
    return [from](std::int64_t start, const at::Tensor& into) {
      const auto* const data = static_cast<const std::byte*>(from.const_data_ptr());
      std::memcpy(into.mutable_data_ptr(),
                  data + start * static_cast<std::int64_t>(from.element_size()), into.nbytes());
    };
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

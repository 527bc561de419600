#include <ATen/ops/empty.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "memory/memory_meter.h"
#include "weights/changed_tensor.h"
#include "weights/read_elements.h"
#include "weights/safetensors.h"
#include "weights/weight_copy.h"
#include "weights/weight_packing.h"
#include "weights/weight_source.h"

namespace emulsion {
namespace {

constexpr std::int64_t kNumbersAtOnce = 1 << 14;  // less than LibTorch takes several threads for

std::unique_ptr<const WeightSource> source_of(const OpenComponent& component,
                                              const WeightPlace& place, c10::ScalarType dtype) {
  return component.changes.empty() ? files_source(component, place, dtype)
                                   : changed_source(component, place, dtype);
}

// Tensors some of which are packed: those that are so in the files as bytes, others made into int8
// one after the other, a few rows at a time.
class PackedSource final : public WeightSource {
 public:
  PackedSource(OpenComponent component, const WeightNames& packed, const WeightPlace& place,
               c10::ScalarType dtype)
      : component_(std::move(component)),
        place_(place),
        others_(source_of(with_bytes(component_, packed), place, dtype)) {
    for (const auto& file : component_.files)
      for (const auto& [name, stored] : file->tensors())
        if (packed.contains(name) && is_packed_anew(packing_of(component_, name, stored), stored))
          made_.emplace(name, Located{file.get(), &stored});
  }

  Bundle read(const std::vector<std::string>& names, Stay stay, Pace pace) const override {
    std::vector<std::string> others;
    std::ranges::copy_if(names, std::back_inserter(others),
                         [&](const std::string& name) { return !made_.contains(name); });
    Bundle tensors = others_->read(others, stay, pace);
    for (const std::string& name : names)
      if (const auto found = made_.find(name); found != made_.end())
        tensors.emplace(name, made(name, found->second, pace));
    if (others.size() < names.size())
      for (const auto& file : component_.files) expect_unchanged(file->path(), file->identity());
    return tensors;
  }

 private:
  struct Located {
    const TensorFile* file;
    const StoredTensor* stored;
  };

  at::Tensor made(const std::string& name, const Located& located, Pace pace) const {
    at::Tensor bytes = made_on_host(name, located, pace);
    if (place_.is_host) return bytes;
    const MeterScope scope(place_.meter, MeterScope::Reach::ThisThread);
    return new_tensor({bytes.sizes().vec(), at::kByte}, place_.device).copy_(bytes);
  }

  // Host memory beside an accelerator or a logical device is not theirs.
  at::Tensor made_on_host(const std::string& name, const Located& located, Pace pace) const {
    MemoryMeter* const meter = place_.is_host ? place_.meter : nullptr;
    const MeterScope scope(meter, MeterScope::Reach::ThisThread);
    const TensorSpec& spec = located.stored->spec;
    const std::int64_t rows = spec.shape.front(), n = spec.count() / rows;
    const at::Tensor changed =
        is_changed(component_, name) ? changed_tensor(component_, name, pace) : at::Tensor();
    const at::Tensor bytes = new_tensor(packed_spec(Packing::Int8, spec), at::kCPU);
    const std::int64_t step = std::max<std::int64_t>(1, kNumbersAtOnce / n);
    for_each_part((rows + step - 1) / step, pace, [&](std::int64_t part) {
      const MeterScope own(meter, MeterScope::Reach::ThisThread);
      const std::int64_t begin = part * step, count = std::min(step, rows - begin);
      bytes.narrow(0, begin, count)
          .copy_(packed_int8(changed.defined() ? changed.view({rows, n}).narrow(0, begin, count)
                                               : numbers(located, begin * n, {count, n})));
    });
    return bytes;
  }

  static at::Tensor numbers(const Located& located, std::int64_t start, c10::IntArrayRef shape) {
    at::Tensor floats = at::empty(shape, at::dtype(at::kFloat));
    read_elements(*located.file, *located.stored, start, floats.view(-1), nullptr);
    return floats;
  }

  OpenComponent component_;
  WeightPlace place_;
  std::unique_ptr<const WeightSource> others_;
  std::map<std::string, Located> made_;  // the files are the component's
};

}  // namespace

std::unique_ptr<const WeightSource> packed_source(const OpenComponent& component,
                                                  const WeightNames& packed,
                                                  const WeightPlace& place, c10::ScalarType dtype) {
  return std::make_unique<PackedSource>(component, packed, place, dtype);
}

}  // namespace emulsion

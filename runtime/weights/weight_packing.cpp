#include "weights/weight_packing.h"

#include <memory>

#include "weights/safetensors.h"

namespace emulsion {
namespace {

// Reads and writes of a float32 number while it is read, scaled, rounded and stored.
constexpr double kPasses = 10;

}  // namespace

Packing packing_of(const OpenComponent& component, const std::string& name,
                   const StoredTensor& stored) {
  if (!c10::isFloatingType(stored.spec.dtype)) return Packing::None;
  const bool is_packed = stored.packing != Packing::None, changes = is_changed(component, name);
  if (!changes && !stored.transposed && is_packable(stored.packing, stored.spec))
    return stored.packing;
  const bool is_wanted = component.packing == Packing::Int8 || (is_packed && changes);
  return is_wanted && is_packable(Packing::Int8, stored.spec) ? Packing::Int8 : Packing::None;
}

bool is_packed_anew(Packing packing, const StoredTensor& stored) {
  return packing != Packing::None && packing != stored.packing;
}

OpenComponent with_bytes(const OpenComponent& component, const WeightNames& packed) {
  OpenComponent result = component;
  for (auto& file : result.files) {
    StoredTensors tensors = file->tensors();
    for (auto& [name, stored] : tensors) {
      const Packing packing = packing_of(component, name, stored);
      if (!packed.contains(name) || packing == Packing::None || is_packed_anew(packing, stored))
        continue;
      stored.spec = packed_spec(packing, stored.spec);
      stored.packing = Packing::None;
    }
    file = std::make_shared<const TensorFile>(*file, std::move(tensors));
  }
  return result;
}

HostCost pack_cost(const TensorSpec& spec) {
  const double numbers = kPasses * static_cast<double>(spec.count());
  return {packed_spec(Packing::Int8, spec).bytes(),
          {.traffic = numbers * static_cast<double>(sizeof(float))}};
}

}  // namespace emulsion
